"""The Greengrass transport through AWS's own client: what a nucleus, any nucleus, must be told and may answer.

`nucleus` is where to connect and who watches; here it is the double of tests/greengrass_double, and nothing in this
file knows that. On a real core device, set TEST_NUCLEUS=real and run pytest inside a component whose accessControl
lets it publish and subscribe below edge/#.
"""

import json
import time

import pytest
from greengrass_places import Place, until

from edge.transports import Acknowledged, Connected, Received, Verdict

pytestmark = pytest.mark.parametrize("destination", ["iot-core", "local"])


def test_event_when_sent_then_it_arrives_byte_for_byte_and_is_acknowledged(nucleus: Place, destination):
    transport = nucleus.transport(destination)
    ear = nucleus.listen(destination, "edge/+/cam/event")
    body = json.dumps({"label": "café", "n": 1}, ensure_ascii=False).encode()

    token = transport.send(f"edge/{nucleus.thing}/cam/event", body, qos=1, retain=False)

    assert Acknowledged(token, Verdict.ACCEPTED) in nucleus.collect(transport, 1)
    assert ear.hears(1) == [(f"edge/{nucleus.thing}/cam/event", body)]


def test_events_when_many_are_sent_then_each_camera_arrives_in_order(nucleus: Place, destination):
    transport = nucleus.transport(destination)
    ear = nucleus.listen(destination, "edge/+/+/event")
    sent = [(f"edge/{nucleus.thing}/{camera}/event", b"%d" % n) for n in range(15) for camera in ("a", "b", "c")]

    for topic, body in sent:
        transport.send(topic, body, qos=1, retain=False)
    nucleus.collect(transport, len(sent))

    heard = ear.hears(len(sent))
    for camera in ("a", "b", "c"):
        assert [b for t, b in heard if f"/{camera}/" in t] == [b"%d" % n for n in range(15)]


def test_frame_when_it_is_larger_than_any_nucleus_takes_then_it_is_trimmed_and_says_so(nucleus: Place, destination):
    transport = nucleus.transport(destination)
    topic = f"edge/{nucleus.thing}/cam/frame"
    ear = nucleus.listen(destination, topic)
    objects = [{"label": "person", "score": n / 4000, "box": [0.1, 0.2, 0.3, 0.4]} for n in range(4000)]
    body = json.dumps({"schema": "frame/1.0", "objects": objects, "sent_at": "now"}).encode()

    token = transport.send(topic, body, qos=0, retain=False)

    assert Acknowledged(token, Verdict.ACCEPTED) in nucleus.collect(transport, 1)
    if destination == "iot-core":
        return  # what comes back from the cloud is bounded even tighter
    [(_, heard)] = ear.hears(1)
    told = json.loads(heard)
    kept = [o["score"] for o in told["objects"]]
    assert kept == [o["score"] for o in reversed(objects)][: len(kept)]
    assert told["trimmed"] == {"objects": 4000 - len(kept)}
    assert len(kept) > 50
    assert told["sent_at"] == "now"


def test_message_when_nothing_of_it_can_go_then_it_is_refused_for_good_and_the_next_one_passes(
    nucleus: Place, destination
):
    transport = nucleus.transport(destination)
    topic = f"edge/{nucleus.thing}/cam/snapshot/person"

    big = transport.send(topic, b"\xff" * 200_000, qos=1, retain=False)
    small = transport.send(topic, b"\xff\xd8\x00", qos=1, retain=False)

    found = {n.token: n.verdict for n in nucleus.collect(transport, 2)}
    assert found == {big: Verdict.NEVER, small: Verdict.ACCEPTED}


def test_topic_when_it_is_as_long_as_it_may_be_then_the_longest_payload_still_passes(nucleus: Place, destination):
    transport = nucleus.transport(destination)
    topic = f"edge/{nucleus.thing}/cam/" + "é" * 100
    body = json.dumps({"schema": "frame/1.0", "objects": [{"score": 1.0, "x": "y" * 40}] * 5000}).encode()

    token = transport.send(topic, body, qos=1, retain=False)

    assert Acknowledged(token, Verdict.ACCEPTED) in nucleus.collect(transport, 1)


def test_command_when_said_then_it_is_heard_with_its_topic(nucleus: Place, destination):
    transport = nucleus.transport(destination)
    transport.subscribe([f"edge/{nucleus.thing}/cmd/+"])
    topic = f"edge/{nucleus.thing}/cmd/ping"

    def heard():
        nucleus.say(destination, topic, b'{"id":"1"}')
        time.sleep(0.05)
        return [n for n in transport.notices() if isinstance(n, Received)]

    assert until(heard)[0] == Received(topic, b'{"id":"1"}', qos=1)


def test_connection_when_made_again_then_the_client_is_the_same_one(nucleus: Place, destination):
    transport = nucleus.transport(destination)
    connects = nucleus.nucleus.connects

    transport.disconnect()
    transport.connect(lambda: None)

    assert until(lambda: [n for n in transport.notices() if isinstance(n, Connected)])
    assert nucleus.nucleus.connects == connects
