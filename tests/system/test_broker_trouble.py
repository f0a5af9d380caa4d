"""Brokers that are away, refuse, restart, or speak only MQTT 3.1.1."""

import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import bundles
import pytest


@pytest.fixture
def video(tmp_path):
    return bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)


@pytest.fixture
def opened():
    """Makes a port lead to another, until the test is over."""
    sockets, threads = [], []

    def start(target, *args):
        threads.append(threading.Thread(target=target, args=args))
        threads[-1].start()

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(listener, to):
        with contextlib.suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", to))
                sockets.extend([near, far])
                start(pump, near, far)
                start(pump, far, near)

    def open_port(port, to):
        listener = socket.create_server(("127.0.0.1", port))
        sockets.append(listener)
        start(serve, listener, to)

    yield open_port
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()
    for thread in threads:
        thread.join(5)


@pytest.fixture
def camera(video):
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


def test_run_when_the_broker_comes_later_then_what_happened_meanwhile_is_delivered(
    make_broker, listen, run_agent, config, camera, opened
):
    # The subscriber has to be there before the agent gets through, so the agent's way in is opened last.
    broker = make_broker().start()
    subscriber = listen(broker)
    agents_port = make_broker().port
    toml = config(broker, camera, events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml.replace(broker.url, f"mqtt://127.0.0.1:{agents_port}"))
    agent.wait_for_line("cannot be reached: Connection refused")
    time.sleep(1.5)

    opened(agents_port, broker.port)
    agent.wait_for_line("uplink: connected")
    subscriber.wait_for("/event", lambda e: not e["replayed"])

    events = subscriber.events()
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[0]["replayed"] is True
    warnings = [line for line in agent.said.splitlines() if "WARNING" in line]
    assert len(warnings) == 1, "the first failure is said aloud, its repeats are not"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_the_broker_restarts_then_nothing_accepted_is_missing_and_retained_state_is_back(
    broker, listen, run_agent, config, camera
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera, events="hold_s = 0\ncooldown_s = 0"))
    subscriber.wait_for("/event")

    broker.stop(signal.SIGKILL)
    time.sleep(1.0)
    broker.start()
    late = listen(broker)
    late.wait_for("n1/status", lambda p: p == "online")
    assert late.wait_for("door/state")["state"] == "online"
    assert late.wait_for("n1/info")
    late.wait_for("/event", lambda e: not e["replayed"])
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    late.wait_for("n1/status", lambda p: p == "stopped")

    seqs = {e["seq"] for e in subscriber.events() + late.events()}
    # What the killed broker had acknowledged but not yet handed on is its loss, and only the last may be.
    missing = set(range(1, max(seqs))) - seqs
    assert len(missing) <= 1, missing
    assert agent.said.count("uplink: connected") == 2
    assert "Traceback" not in agent.said


def test_run_when_the_broker_refuses_the_password_then_it_says_so_once_and_is_never_online(
    make_broker, listen, run_agent, config, camera, tmp_path
):
    passwords = tmp_path / "passwords"
    for user in ("node", "ear"):
        create = [] if passwords.exists() else ["-c"]
        subprocess.run(["mosquitto_passwd", "-b", *create, passwords, user, "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = make_broker(f"password_file {passwords}", anonymous=False).start()
    secret = tmp_path / "secret"
    secret.write_text("wrong-pass-phrase\n")
    secret.chmod(0o600)
    subscriber = listen(broker, username="ear", password="right")  # noqa: S106
    mqtt = f'username = "node"\npassword_file = "{secret}"'

    agent = run_agent(config(broker, camera, mqtt=mqtt))
    agent.wait_for_line("refused us")
    time.sleep(2.5)

    refusals = [line for line in agent.said.splitlines() if "refused us" in line]
    assert len(refusals) == 1
    assert "check mqtt.username and mqtt.password_file" in refusals[0]
    assert "uplink: connected" not in agent.said
    assert not subscriber.messages
    assert "wrong-pass-phrase" not in agent.said
    tries = broker.log.read_text().count("New client connected") + broker.log.read_text().count("not authorised")
    assert tries <= 7, "bad credentials wait the longest"

    secret.write_text("right\n")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_the_password_is_readable_by_everyone_then_it_is_not_used(broker, run_agent, config, camera, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("open")
    secret.chmod(0o644)

    agent = run_agent(config(broker, camera, mqtt=f'username = "node"\npassword_file = "{secret}"'))

    assert agent.wait() == 1
    assert agent.said == f"gluon-edge: error: {secret}: holds a secret but everyone may read it; chmod 600 {secret}\n"


def test_run_when_one_topic_is_denied_then_the_others_still_come(
    make_broker, listen, run_agent, config, camera, tmp_path
):
    acl = tmp_path / "acl"
    acl.write_text(
        "topic read #\ntopic write edge/n1/status\ntopic write edge/n1/+/event\ntopic write edge/n1/health\n"
    )
    acl.chmod(0o644)
    broker = make_broker(f"acl_file {acl}").start()
    subscriber = listen(broker)

    agent = run_agent(config(broker, camera, events="hold_s = 0\ncooldown_s = 0"))

    subscriber.wait_for("/event", lambda e: e["seq"] >= 3)
    refused = subscriber.wait_for("/health", lambda h: h["outbox"]["refused"] > 0)
    assert refused["outbox"]["connected"]
    agent.wait_for_line("the broker does not take edge/n1/")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


EMBEDDED = """
import asyncio, logging, sys
from amqtt.broker import Broker

async def main():
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    await broker.start()
    print("up", flush=True)
    await asyncio.sleep(60)

logging.disable(logging.CRITICAL)
asyncio.run(main())
"""


@contextlib.contextmanager
def embedded_broker(port):
    """amqtt, which the demo falls back on: it speaks MQTT 3.1.1 only."""
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(EMBEDDED), str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_run_when_the_broker_knows_only_mqtt_3_1_1_then_it_falls_back(make_broker, run_agent, config, camera):
    broker = make_broker()
    with embedded_broker(broker.port):
        agent = run_agent(config(broker, camera, events="hold_s = 0"))

        agent.wait_for_line("mqtt=3.1.1", 20)

        watch = subprocess.run(
            [sys.executable, "-m", "edge", "watch", "--broker", broker.url, "--count", "2", "--seconds", "20"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert watch.returncode == 0, watch.stderr
        assert "n1/door" in watch.stdout
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        assert "Traceback" not in agent.said


def test_watch_when_there_is_no_broker_then_one_line_says_so(make_broker):
    broker = make_broker()

    watch = subprocess.run(
        [sys.executable, "-m", "edge", "watch", "--broker", broker.url], capture_output=True, text=True, check=False
    )

    assert watch.returncode == 1
    assert watch.stderr == (
        f"gluon-edge: error: broker 127.0.0.1:{broker.port} cannot be reached: Connection refused\n"
    )


def test_watch_when_the_broker_refuses_then_one_line_says_so(make_broker):
    broker = make_broker(anonymous=False).start()

    watch = subprocess.run(
        [sys.executable, "-m", "edge", "watch", "--broker", broker.url], capture_output=True, text=True, check=False
    )

    assert watch.returncode == 1
    assert watch.stderr.startswith(f"gluon-edge: error: broker 127.0.0.1:{broker.port} refused us: ")
    assert len(watch.stderr.splitlines()) == 1


def test_watch_when_interrupted_then_it_ends_with_130(broker):
    watch = subprocess.Popen(
        [sys.executable, "-m", "edge", "watch", "--broker", broker.url], stderr=subprocess.PIPE, text=True
    )
    assert watch.stderr is not None
    assert "listening to edge/#" in watch.stderr.readline()

    watch.send_signal(signal.SIGINT)

    assert watch.wait(10) == 130
    assert "Traceback" not in watch.stderr.read()
    watch.stderr.close()
