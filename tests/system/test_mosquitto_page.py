"""docs/brokers/mosquitto.md as it is written: its certificates, its configuration, its ACL and its node."""

import os
import queue
import re
import signal
import subprocess

import bundles
import pytest
from real_parts import ROOT

NOT_AUTHORIZED = 0x87
PAGE = (ROOT / "docs/brokers/mosquitto.md").read_text()


def block(heading: str) -> str:
    """The first code block below a heading."""
    return re.split(r"^```\w*\n", PAGE.partition(f"\n## {heading}\n")[2], maxsplit=2, flags=re.MULTILINE)[1]


@pytest.fixture
def site(tmp_path, make_broker):
    """The page's broker on a free port of this machine; beside the node's certificate lies one for `app`."""
    commands = block("Certificates").replace("broker.site", "localhost")
    node = [line for line in commands.splitlines() if "kerb-1" in line]
    script = "\n".join([commands, *(line.replace("kerb-1", "app") for line in node)])
    subprocess.run(["sh", "-euc", script], check=True, capture_output=True, cwd=tmp_path)
    (tmp_path / "acl").write_text(block("`acl`"))
    broker = make_broker()
    lines = block("`mosquitto.conf`").replace("listener 8883", f"listener {broker.port} 127.0.0.1")
    lines = lines.replace("/etc/mosquitto", str(tmp_path)).replace("/var/lib/mosquitto", str(tmp_path))
    broker.config.write_text(lines + "log_type all\n" + ("user root\n" if os.geteuid() == 0 else ""))
    return broker.start()


@pytest.fixture
def connect(site, listen, tmp_path):
    """A client with the certificate of a name."""
    return lambda name: listen(
        site, "edge/#", tls=(tmp_path / "ca.crt", tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    )


def test_page_when_its_node_runs_at_its_broker_then_the_application_hears_it(
    site, connect, tmp_path, config, run_agent
):
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 20)
    node = block("The node").replace("broker.site", f"localhost:{site.port}").replace("/etc/gluon-edge", str(tmp_path))
    toml = config(None, f'[cameras.door]\nsource = "{video}"\nloop = true')
    app = connect("app")

    agent = run_agent(re.sub(r"^\[mqtt\]\n(?:[^\[].*\n|\n)*", node, toml, flags=re.MULTILINE))

    app.wait_for("edge/kerb-1/door/event")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "does not take" not in agent.said, "every topic of the node is allowed"
    assert "Denied PUBLISH" not in site.log.read_text()


@pytest.mark.parametrize(
    ("who", "taken", "denied"),
    [
        (
            "kerb-1",
            ("edge/kerb-1/door/event", "homeassistant/device/kerb-1/config"),
            ("edge/kerb-2/door/event", "edge/kerb-1x/status", "edge", "homeassistant/device/kerb-2/config"),
        ),
        ("app", ("edge/kerb-1/cmd/reload", "edge/kerb-1/door/detect/set"), ("edge/kerb-1/door/event",)),
    ],
)
def test_page_when_someone_publishes_then_only_what_the_acl_grants_is_taken(connect, who, taken, denied):
    client, codes = connect(who).client, queue.Queue()
    client.on_publish = lambda _client, _userdata, _mid, code, _properties: codes.put(code.value)
    for topic in (*taken, *denied):
        client.publish(topic, b"{}", qos=1)
        code = codes.get(timeout=10)
        assert (code == NOT_AUTHORIZED) == (topic in denied), (topic, code)
