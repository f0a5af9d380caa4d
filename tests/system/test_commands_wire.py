"""Commands, switches and Home Assistant, through a real broker to a real agent."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import bundles
import jsonschema
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from test_agent import schema

from edge.signing import make_key, sign


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


def tell(broker, topic, payload, *, retain=False, properties=None):
    """Publishes one message with QoS 1 and waits for the broker to have it."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    ready = threading.Event()
    client.on_connect = lambda *_: ready.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert ready.wait(5)
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    client.publish(topic, body, 1, retain, properties).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def test_command_when_it_is_good_then_done_answered_and_valid(broker, listen, run_agent, config, camera):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera, events="hold_s = 0\ncooldown_s = 0"))
    subscriber.wait_for("/event")

    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "app/7/answers", b"\x00question"
    tell(broker, "edge/n1/cmd/ping", {"id": "p1"}, properties=properties)
    answer = subscriber.wait_for("ack/p1")
    jsonschema.validate(answer, schema("ack/1.0"), format_checker=jsonschema.FormatChecker())
    assert (answer["status"], answer["verb"]) == ("done", "ping")
    assert subscriber.wait_for("app/7/answers")["id"] == "p1"
    asked = next(m for m in subscriber.messages if m.topic == "app/7/answers")
    assert asked.properties.CorrelationData == b"\x00question"

    tell(broker, "edge/n1/cmd/threshold", {"id": "t1", "args": {"value": 1.0}})
    assert subscriber.wait_for("ack/t1")["result"] == {"value": 1.0}
    time.sleep(1)
    before = len(subscriber.events())
    time.sleep(1)
    assert len(subscriber.events()) == before, "no detection is as sure as that"
    tell(broker, "edge/n1/cmd/threshold", {"id": "t2", "args": {"value": 0.1}})
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before)
    tell(broker, "edge/n1/cmd/restart_camera", {"id": "r1", "args": {"camera": "door"}})
    assert subscriber.wait_for("ack/r1")["status"] == "done"
    subscriber.wait_for("door/state", lambda s: "opened anew by command" in (s["reason"] or ""))
    subscriber.wait_for("door/state", lambda s: s["state"] == "online")
    tell(broker, "edge/n1/cmd/restart_camera", {"id": "r2", "args": {"camera": "nowhere"}})
    assert subscriber.wait_for("ack/r2")["status"] == "failed"
    tell(broker, "edge/n1/cmd/update", {"id": "u1", "args": {"url": "https://x/y", "sha256": "0" * 64}})
    assert subscriber.wait_for("ack/u1")["status"] == "refused"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_switch_when_off_then_nothing_is_looked_at_even_after_a_restart(broker, listen, run_agent, config, camera):
    subscriber = listen(broker)
    toml = config(broker, camera, events="hold_s = 0\ncooldown_s = 0")
    agent = run_agent(toml)
    subscriber.wait_for("/event")
    tell(broker, "edge/n1/door/detect/set", b"OFF")
    subscriber.wait_for("door/detect/state", lambda s: s == "OFF")
    agent.kill()

    agent = run_agent(toml)
    subscriber.wait_for("n1/status", lambda _: subscriber.payloads("n1/status").count("online") == 2)
    time.sleep(1.0)
    before = len(subscriber.events())
    time.sleep(1.0)
    assert len(subscriber.events()) == before
    assert subscriber.payloads("door/detect/state")[-1] == "OFF"
    tell(broker, "edge/n1/door/detect/set", b"ON")
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_commands_when_200_are_malformed_then_publishing_goes_on(broker, listen, run_agent, config, camera):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera, events="hold_s = 0\ncooldown_s = 0"))
    subscriber.wait_for("/event")
    for i in range(40):
        for payload in (b"", b"\xff\x00", b'{"id":', os.urandom(50), b"[" * 5000):
            tell_fast(broker, f"edge/n1/cmd/{'ping' if i % 2 else 'x' * 60}", payload)
    flush(broker)
    subscriber.wait_for("ack/-", lambda _: len(subscriber.payloads("ack/-")) == 200, seconds=30)
    before = len(subscriber.events())
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before + 3)
    assert {p["status"] for p in subscriber.payloads("ack/-")} == {"refused"}
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert "Traceback" not in agent.said


_FAST = {}


def tell_fast(broker, topic, payload):
    if broker not in _FAST:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        _FAST[broker] = client
    _FAST[broker].publish(topic, payload, 1)


def flush(broker):
    client = _FAST.pop(broker)
    client.publish("flush", b"", 1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_command_when_signing_is_required_then_unsigned_expired_and_replayed_are_refused(
    broker, listen, run_agent, config, camera, tmp_path
):
    private, public = make_key()
    (tmp_path / "key.pub").write_text(public)
    subscriber = listen(broker)
    more = f'[commands]\nsigned = true\nkeys = ["{tmp_path / "key.pub"}"]'
    agent = run_agent(config(broker, camera, more))
    subscriber.wait_for("n1/status", lambda s: s == "online")

    def envelope(ident, counter, seconds=60.0, key=private):
        ends = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        body = {"id": ident, "node": "n1", "verb": "ping", "counter": counter, "expires_at": ends.isoformat()}
        return json.dumps(sign(json.dumps(body).encode(), key)).encode()

    tell(broker, "edge/n1/cmd/ping", {"id": "a"})
    assert subscriber.wait_for("ack/a")["result"]["reason"] == "is not signed"
    tell(broker, "edge/n1/cmd/ping", envelope("b", 1))
    assert subscriber.wait_for("ack/b")["status"] == "done"
    tell(broker, "edge/n1/cmd/ping", envelope("c", 1))
    assert "replay" in subscriber.wait_for("ack/c")["result"]["reason"]
    tell(broker, "edge/n1/cmd/ping", envelope("d", 2, seconds=-1))
    assert subscriber.wait_for("ack/d")["result"]["reason"] == "has expired"
    tell(broker, "edge/n1/cmd/ping", envelope("e", 3, key=make_key()[0]))
    assert "pinned key" in subscriber.wait_for("ack/-")["result"]["reason"]
    tell(broker, "edge/n1/cmd/ping", envelope("b", 1))
    time.sleep(0.5)
    assert len(subscriber.payloads("ack/b")) == 1, "the very same command again is done once"
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    audit = subprocess.run(
        [sys.executable, "-m", "edge", "commands", str(tmp_path / "state" / "n1.spool"), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept = [(c["state"], c["id"], c["answer"]) for c in json.loads(audit.stdout)["commands"]]
    assert [ident for state, ident, _ in kept if state == "done"] == ["b"]
    refused = {ident: reason for state, ident, reason in kept if state == "refused"}
    assert set(refused) == {"a", "c", "d", "-"}, "the audit keeps who was refused, and why"
    assert refused["d"] == "has expired"


def test_command_when_the_node_is_down_then_it_is_done_exactly_once(broker, listen, run_agent, config, camera):
    subscriber = listen(broker)
    toml = config(broker, camera)
    agent = run_agent(toml)
    subscriber.wait_for("n1/status", lambda s: s == "online")
    agent.kill()
    for i in range(5):
        tell(broker, "edge/n1/cmd/ping", {"id": f"down{i}"})
    tell(broker, "edge/n1/cmd/ping", {"id": "down0"})

    for _ in range(3):
        agent = run_agent(toml)
        agent.wait_for_line("uplink: connected")
        subscriber.wait_for("ack/down4")
        agent.kill()

    answers = [p["id"] for p in subscriber.payloads("") if isinstance(p, dict) and p.get("schema") == "ack/1.0"]
    assert sorted(set(answers)) == [f"down{i}" for i in range(5)]
    said = "".join(path.read_text() for path in agent.log.parent.glob("agent-*.log"))
    assert all(said.count(f"command ping down{i} accepted") == 1 for i in range(5)), said


def test_command_when_it_is_retained_then_refused(broker, listen, run_agent, config, camera):
    tell(broker, "edge/n1/cmd/ping", {"id": "stuck"}, retain=True)
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera))
    assert "retained" in subscriber.wait_for("ack/-")["result"]["reason"]
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_home_assistant_when_it_starts_then_it_is_told_again(broker, listen, run_agent, config, camera):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera))
    first = subscriber.wait_for("homeassistant/device/n1/config")
    assert first["components"]["door_red_count"]["state_topic"] == "edge/n1/door/count/red"
    tell(broker, "homeassistant/status", b"online")
    subscriber.wait_for(
        "homeassistant/device/n1/config", lambda _: len(subscriber.payloads("homeassistant/device/n1/config")) >= 2
    )
    assert listen(broker).wait_for("homeassistant/device/n1/config") == first
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
