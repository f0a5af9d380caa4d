"""Ways to a broker: WebSockets, a second one where the first is away, and the way back."""

import signal

import bundles
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.config import MqttConfig
from edge.delivery.broker import mqtt_brokers


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
