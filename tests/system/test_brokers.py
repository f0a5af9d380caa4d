"""Ways to a broker: WebSockets, a second one where the first is away, and the way back."""

import logging
import signal
import time

import bundles
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from real_parts import wait_until

from edge.clock import Clock
from edge.config import MqttConfig
from edge.delivery.broker import mqtt_brokers
from edge.delivery.uplink import Uplink
from edge.spool import AgeClock, Bounds, Record, Spool
from edge.transports import MqttTransport
from edge.transports.mqttsettings import MqttSettings


@pytest.fixture
def camera(tmp_path):
    video = bundles.squares_video(tmp_path / "v.avi", ([{"red": (10, 10, 40)}] * 5 + [{}] * 5) * 10)
    return f'[cameras.door]\nsource = "{video}"\nloop = true'


def test_run_when_the_broker_speaks_websockets_then_events_arrive(make_broker, listen, run_agent, config, camera):
    broker = make_broker()
    plain = broker.port
    web = make_broker().port
    broker.config.write_text(broker.config.read_text() + f"\nlistener {web} 127.0.0.1\nprotocol websockets\n")
    broker.start()
    subscriber = listen(broker)
    toml = config(broker, camera, events="hold_s = 0").replace(
        f"mqtt://127.0.0.1:{plain}", f"ws://127.0.0.1:{web}/mqtt"
    )

    agent = run_agent(toml)

    subscriber.wait_for("/event", lambda e: e["seq"] >= 3)
    agent.wait_for_line(f"uplink: connected broker=127.0.0.1:{web} mqtt=5")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0


def test_run_when_the_first_broker_is_away_then_the_second_serves_until_the_first_is_back(
    make_broker, listen, run_agent, config, camera
):
    first, second = make_broker(), make_broker().start()
    at_second = listen(second)
    toml = config(first, camera, mqtt=f'fallbacks = ["{second.url}"]', events="hold_s = 0\ncooldown_s = 0")

    agent = run_agent(toml)
    at_second.wait_for("/event", lambda e: e["seq"] >= 3)
    first.start()
    at_first = listen(first)
    second.stop(signal.SIGKILL)
    at_first.wait_for("/event")

    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    at_first.wait_for("n1/status", lambda p: p == "stopped")
    seqs = {e["seq"] for e in at_second.events() + at_first.events()}
    assert len(set(range(1, max(seqs))) - seqs) <= 1, "what the killed broker had acknowledged is its loss"


@pytest.mark.parametrize(
    ("broker", "alpn"),
    [
        ("mqtts://a1-ats.iot.eu-west-1.amazonaws.com:443", "x-amzn-mqtt-ca"),
        ("mqtts://a1-ats.iot.eu-west-1.amazonaws.com", None),
        ("wss://a1-ats.iot.eu-west-1.amazonaws.com:443/mqtt", None),
        ("mqtts://broker.example:443", None),
    ],
)
def test_brokers_when_port_443_is_amazons_then_mqtt_is_asked_for_by_name(broker, alpn):
    assert mqtt_brokers(MqttConfig(broker=broker, node="n1"), client_id="x")[0].alpn == alpn


def test_run_when_another_client_takes_its_name_then_it_says_so_and_comes_back_late(
    broker, listen, run_agent, config, camera
):
    subscriber = listen(broker)
    agent = run_agent(config(broker, camera, mqtt='client_id = "kerb-1"', events="hold_s = 0\ncooldown_s = 0"))
    subscriber.wait_for("/event")

    other = paho.Client(CallbackAPIVersion.VERSION2, client_id="kerb-1", protocol=MQTTProtocolVersion.MQTTv5)
    other.connect("127.0.0.1", broker.port)
    other.loop_start()
    try:
        subscriber.wait_for("n1/health", lambda h: "taken-over" in h["outbox"]["alarms"], 40)
    finally:
        other.disconnect()
        other.loop_stop()
    assert "another client" in agent.said
    before = len(subscriber.events())
    subscriber.wait_for("/event", lambda _: len(subscriber.events()) > before)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    seqs = sorted({e["seq"] for e in subscriber.events()})
    assert seqs == list(range(1, len(seqs) + 1)), "what happened meanwhile was kept"


def test_uplink_when_a_row_cannot_be_written_as_mqtt_then_it_is_buried_and_the_rest_arrives(
    broker, listen, tmp_path, monkeypatch
):
    # The traceback that is logged would keep the connection, and its sockets, for as long as pytest keeps the record.
    monkeypatch.setattr(logging.getLogger("edge.delivery.uplink"), "disabled", True)
    subscriber = listen(broker)
    spool = Spool(
        tmp_path / "spool",
        bounds=Bounds(ballast_bytes=0),
        clock=AgeClock(time.monotonic, time.time, lambda: True),
        mono_s=time.monotonic,
        receipt=lambda drop: Record("edge/n1/gap", drop.reason.encode(), 3),
    )
    transport = MqttTransport(MqttSettings("127.0.0.1", broker.port, "n1"))
    uplink = Uplink(transport, spool, status_topic="edge/n1/status", clock=Clock(), min_wait_s=0.01, max_wait_s=0.02)
    # No message of ours has such a topic; a row of a spool that somebody has written in may.
    for topic in ("edge/n1/a", "edge/n1/+/b", "edge/n1/c"):
        spool.put(Record(topic, b"{}", 3))
    uplink.start()
    try:
        subscriber.wait_for("n1/c")
        wait_until(lambda: uplink.dead == 1 and spool.depth == 0, 20, "the row to be buried")
    finally:
        assert uplink.stop(2.0)
        spool.close()

    assert uplink.connects == 2, "it is tried once more, on another connection"
