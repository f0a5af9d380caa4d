"""TLS: on means checked; what is wrong is said, and nothing is sent."""

import signal
import subprocess
import time

import bundles
import pytest


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA, a broker's certificate for localhost and a node's; another CA, and a certificate for that node by it."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder)

    for ca in ("ca", "other"):
        openssl(
            *("req", "-x509", *key, "-days", "2", "-subj", f"/CN={ca}"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", f"{ca}.key", "-out", f"{ca}.pem"),
        )
    (folder / "ext").write_text("subjectAltName=DNS:localhost\n")
    for name, common_name, ca in (("b", "localhost", "ca"), ("node", "n1", "ca"), ("stranger", "n1", "other")):
        openssl("req", *key, "-subj", f"/CN={common_name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", "ext", "-out", f"{name}.pem"),
        )
    return folder


@pytest.fixture
def tls_broker(make_broker, certificates):
    return make_broker(f"certfile {certificates}/b.pem\nkeyfile {certificates}/b.key").start()


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 10, 40)}] * 20)
    return f'[cameras.c]\nsource = "{video}"\nloop = true'


def start(run_agent, config, camera, port, mqtt, host="localhost"):
    toml = config(None, camera, mqtt=mqtt)
    return run_agent(toml.replace("mqtt://127.0.0.1:1", f"mqtts://{host}:{port}"))


def test_run_when_the_brokers_certificate_is_good_then_it_connects(tls_broker, run_agent, config, camera, certificates):
    agent = start(run_agent, config, camera, tls_broker.port, f'ca_file = "{certificates}/ca.pem"')

    agent.wait_for_line("uplink: connected")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


@pytest.mark.parametrize(
    ("ca", "host", "said"),
    [
        ("other", "localhost", "certificate verify failed"),
        (None, "localhost", "certificate verify failed"),
        ("ca", "127.0.0.1", "IP address mismatch"),
    ],
)
def test_run_when_the_certificate_is_not_to_be_trusted_then_it_never_connects(
    tls_broker, run_agent, config, camera, certificates, ca, host, said
):
    mqtt = f'ca_file = "{certificates}/{ca}.pem"' if ca else ""
    agent = start(run_agent, config, camera, tls_broker.port, mqtt, host)

    agent.wait_for_line(said)
    time.sleep(1)

    assert "uplink: connected" not in agent.said
    assert "New client connected" not in tls_broker.log.read_text()
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


@pytest.mark.parametrize(
    ("certificate", "refused"),
    [("node", None), ("stranger", "certificate verify failed"), (None, "peer did not return a certificate")],
)
def test_run_when_the_broker_asks_for_a_certificate_then_only_one_of_its_own_authority_is_let_in(
    make_broker, run_agent, config, camera, certificates, certificate, refused
):
    broker = make_broker(
        f"certfile {certificates}/b.pem\nkeyfile {certificates}/b.key\ncafile {certificates}/ca.pem\n"
        "require_certificate true"
    ).start()
    mqtt = f'ca_file = "{certificates}/ca.pem"'
    if certificate is not None:
        mqtt += f'\ncert_file = "{certificates}/{certificate}.pem"\nkey_file = "{certificates}/{certificate}.key"'
    agent = start(run_agent, config, camera, broker.port, mqtt)

    if refused is None:
        agent.wait_for_line("uplink: connected")
    else:
        agent.wait_for_line("trying again")
        time.sleep(1)
        assert "uplink: connected" not in agent.said
        assert refused in broker.log.read_text()
        assert "New client connected" not in broker.log.read_text()
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_the_ca_file_is_not_there_then_one_line_names_it(run_agent, config, camera, tmp_path):
    agent = start(run_agent, config, camera, 8883, 'ca_file = "nope.pem"')

    assert agent.wait() == 1
    assert agent.said == f"gluon-edge: error: TLS files {tmp_path}/nope.pem: No such file or directory\n"
