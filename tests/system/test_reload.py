"""The configuration read again while the agent runs."""

import signal

import bundles
import pytest
from test_commands_wire import tell


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


def test_reload_when_the_file_changed_then_it_takes_effect_and_nothing_is_lost(
    broker, listen, run_agent, config, camera, tmp_path
):
    subscriber = listen(broker)
    toml = config(broker, camera, '[commands]\nallow = ["reload"]', events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml)
    subscriber.wait_for("/event")
    path = tmp_path / "agent.toml"

    path.write_text("this is no TOML")
    agent.signal(signal.SIGHUP)
    agent.wait_for_line("going on with the configuration that runs")
    path.write_text(toml.replace("hold_s = 0\n", 'hold_s = 0\nlabels = ["blue"]\n'))
    agent.signal(signal.SIGHUP)
    told = subscriber.wait_for("n1/info", lambda i: "changed" in i)
    assert told["changed"] == ["events.labels"]
    agent.wait_for_line("uplink: connected")
    agent.signal(signal.SIGHUP)
    agent.wait_for_line("nothing has changed")

    path.write_text(toml)
    tell(broker, "edge/n1/cmd/reload", {"id": "r1"})
    assert subscriber.wait_for("ack/r1")["status"] == "done"
    before = len(subscriber.events())
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    seqs = {}
    for event in subscriber.events():
        seqs.setdefault(event["boot_id"], []).append(event["seq"])
    assert all(found == list(range(found[0], found[0] + len(found))) for found in seqs.values())
