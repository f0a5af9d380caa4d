"""The Greengrass transport with everything that a nucleus can do to it: through uplink and spool, as on a node."""

import json
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from greengrass_double import CLASSIC, LITE, Double, RefusalError
from greengrass_places import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.clock import Clock
from edge.delivery.outbox import SpoolOutbox
from edge.delivery.uplink import Uplink
from edge.errors import ConfigError, TransportError, TransportRefusedError
from edge.message import Importance, Message
from edge.spool import AgeClock, Bounds, Record, Spool
from edge.transports.component import ComponentAddress
from edge.transports.greengrass import GreengrassTransport
from edge.transports.limits import LITE as LITE_LIMITS
from edge.transports.limits import room_for
from edge.transports.nucleus import Nucleus

ROOT = "edge/kerb-1"


class Node:
    """Spool, uplink and transport as edge.delivery.delivery wires them, with short waits."""

    def __init__(self, double: Double, destination="iot-core", ack_timeout_s=0.6, **how):
        self.double = double
        self.given_up = []
        self.nucleus = Nucleus(ComponentAddress.from_environment(double.env), self.given_up.append, answer_s=0.4)
        self.folder = tempfile.TemporaryDirectory()
        self.receipts = []
        self.spool = Spool(
            Path(self.folder.name) / "spool",
            bounds=Bounds(ballast_bytes=0, drain_per_s=1e6),
            clock=AgeClock(time.monotonic, time.time, lambda: True),
            mono_s=time.monotonic,
            receipt=self.receipt,
        )
        transport = GreengrassTransport(
            self.nucleus, destination=destination, hello=f"{ROOT}/status", levels=3, hung_s=0.5, **how
        )
        waits = {"min_wait_s": 0.01, "max_wait_s": 0.05, "ack_timeout_s": ack_timeout_s}
        self.uplink = Uplink(transport, self.spool, status_topic=f"{ROOT}/status", clock=Clock(), **waits)
        self.spool.inbox.wake = self.uplink.wake
        self.outbox = SpoolOutbox(self.spool)
        self.uplink.start()

    def receipt(self, drop):
        self.receipts.append(drop)
        return Record(f"{ROOT}/gap", json.dumps({"reason": drop.reason}).encode(), 3, stamped=False)

    def tell(self, camera, n):
        topic = f"{ROOT}/{camera}/event"
        self.outbox.put(Message(topic, b'{"n":%d}' % n, Importance.A, seq=n))

    def arrived(self, camera):
        """The numbers of a camera's events as they came first."""
        topic = f"{ROOT}/{camera}/event"
        return list(dict.fromkeys(json.loads(p)["n"] for _, t, p in list(self.double.arrived) if t == topic))

    def close(self):
        assert self.uplink.stop(1.0)
        self.spool.close()
        self.nucleus.close()
        self.folder.cleanup()


@contextmanager
def node(double, destination="iot-core", **how):
    made = Node(double, destination, **how)
    try:
        yield made
    finally:
        made.close()


def restart(double):
    double.stop()
    double.start()


def burst_of_errors(double):
    left = [6]

    def refuse(operation, _args):
        left[0] -= operation.startswith("Publish")
        return RefusalError() if operation.startswith("Publish") and left[0] >= 0 else None

    double.refuse = refuse


def offline_for_a_while(double):
    double.online = False
    time.sleep(0.1)
    double.online = True


def hang_for_a_while(double):
    double.silent = True
    time.sleep(0.7)
    double.silent = False


FAULTS = {
    "restart": restart,
    "drop": Double.drop_connections,
    "errors": burst_of_errors,
    "offline": offline_for_a_while,
    "hang": hang_for_a_while,
}


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from([LITE, CLASSIC]),
    destination=st.sampled_from(["iot-core", "local"]),
    faults=st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=4),
    each=st.integers(1, 12),
)
def test_events_when_the_nucleus_does_its_worst_then_all_arrive_in_order_per_camera(kind, destination, faults, each):
    with tempfile.TemporaryDirectory(prefix="gg") as folder:
        double = Double(Path(folder) / "ipc", kind).start()
        try:
            with node(double, destination) as n:
                sent = 0
                for fault in [*faults, None]:
                    for _ in range(each):
                        sent += 1
                        n.tell("a", sent)
                        n.tell("b", sent)
                    if fault is not None:
                        FAULTS[fault](double)
                until(lambda: len(n.arrived("a") + n.arrived("b")) == 2 * sent, 60)
                assert n.arrived("a") == list(range(1, sent + 1))
                assert n.arrived("b") == list(range(1, sent + 1))
                assert not n.receipts
        finally:
            double.close()


def test_lite_when_the_cloud_is_slow_then_its_ten_records_are_never_overrun_for_long_and_order_stays(double):
    double.cloud_round_trip_s = 0.03
    with node(double) as n:
        until(lambda: n.uplink.connected)
        for i in range(1, 101):
            n.tell("abc"[i % 3], i)
        until(lambda: len(n.arrived("a") + n.arrived("b") + n.arrived("c")) == 100, 60)

        for camera in "abc":
            assert n.arrived(camera) == sorted(n.arrived(camera))
        if double.kind is LITE:
            assert double.most_unacknowledged <= 10


@pytest.mark.parametrize("operation", ["PublishToIoTCore", "PublishToTopic"])
def test_room_when_a_payload_fills_it_then_the_lite_nucleus_takes_it_and_the_connection_stays(double, operation):
    local = operation == "PublishToTopic"
    nucleus = Nucleus(ComponentAddress.from_environment(double.env))
    nucleus.connect()
    answers = []
    for topic in ("t", "edge/kerb-1/cam/frame", "x" * 256, "ü" * 128, '"' * 200, "\U0001f600" * 64):
        body = b"x" * room_for(topic, LITE_LIMITS, local=local)
        nucleus.publish(topic, body, qos=1, local=local, retain=False, then=lambda *a: answers.append(a[0].value))
        time.sleep(0.05)
    until(lambda: len(answers) == 6)
    nucleus.close()

    assert answers == ["done"] * 6
    assert double.connects == 1
    if double.kind is LITE:
        assert double.largest_frame > 9_500


def test_topic_when_access_control_denies_it_then_its_events_stay_and_the_others_flow(double):
    double.config = {
        "accessControl": {
            "aws.greengrass.ipc.mqttproxy": {
                "p": {
                    "operations": ["aws.greengrass#PublishToIoTCore"],
                    "resources": ["edge/{iot:thingName}/status", "edge/{iot:thingName}/good/+"],
                }
            }
        }
    }
    with node(double) as n:
        for i in range(1, 6):
            n.tell("bad", i)
            n.tell("good", i)
        until(lambda: n.arrived("good") == [1, 2, 3, 4, 5])
        until(lambda: "not-taken" in n.uplink.alarms)

        assert n.arrived("bad") == []
        until(lambda: n.spool.depth == 5)
        assert not n.receipts


def test_start_when_the_cloud_is_away_then_all_waits_and_arrives_when_it_comes(double):
    if double.kind is CLASSIC:
        pytest.skip("the classic nucleus takes messages while it is offline, and keeps them in its own spool")
    double.online = False
    with node(double) as n:
        for i in range(1, 21):
            n.tell("a", i)
        time.sleep(0.3)
        assert not n.uplink.connected
        until(lambda: n.spool.depth == 20)

        double.online = True
        until(lambda: n.arrived("a") == list(range(1, 21)))


def test_poison_when_one_message_is_always_refused_then_it_is_buried_with_a_receipt_and_the_rest_arrives(double):
    double.refuse = lambda _op, args: RefusalError() if "poison" in args.get("topicName", "") else None
    with node(double, ack_timeout_s=10) as n:
        until(lambda: n.uplink.connected)
        n.outbox.put(Message(f"{ROOT}/poison/event", b'{"n":1}', Importance.A, seq=1))
        sent = 1
        while not n.uplink.dead and sent < 500:
            sent += 1
            n.tell("a", sent)
            time.sleep(0.02)
        until(lambda: n.arrived("a") == list(range(2, sent + 1)))

        assert n.uplink.dead == 1
        assert n.spool.disk.dropped[Importance.A] == 1


def test_token_when_the_nucleus_has_forgotten_it_then_the_component_ends_once_with_everything_spooled(double):
    with node(double) as n:
        until(lambda: n.uplink.connected)
        double.stop(forget_tokens=True)
        double.start()
        for i in range(1, 11):
            n.tell("a", i)
        until(lambda: n.given_up)

        assert "SVCUID" in n.given_up[0]
        assert n.spool.flush()
        assert n.spool.depth == 10
        time.sleep(0.2)
        assert len(n.given_up) == 1


def test_nucleus_when_it_is_away_then_it_is_waited_for_and_never_given_up(double):
    double.stop()
    with node(double) as n:
        n.tell("a", 1)
        time.sleep(0.5)
        assert not n.given_up

        double.start()
        until(lambda: n.arrived("a") == [1])


def test_ping_when_the_nucleus_sends_one_then_it_is_answered_and_none_is_ever_sent(double):
    with node(double) as n:
        until(lambda: n.uplink.connected)
        double.ping()

        until(lambda: double.pongs == 1)
    assert "message outside any stream" not in double.errors


def test_commands_when_the_nucleus_restarts_then_they_are_subscribed_to_again(double):
    heard = []

    class Hearing:
        filters = (f"{ROOT}/cmd/+",)
        connected = step = staticmethod(lambda **_: None)
        heard = staticmethod(lambda message: heard.append(message.payload))

    with node(double) as n:
        n.uplink._hearing = Hearing()
        until(lambda: n.uplink.connected)
        n.nucleus.drop()
        until(lambda: double.subscribed("mqttproxy") == [f"{ROOT}/cmd/+"])
        restart(double)
        until(lambda: double.subscribed("mqttproxy") == [f"{ROOT}/cmd/+"])

        double.say(f"{ROOT}/cmd/ping", b"{}")
        until(lambda: heard == [b"{}"])


def test_requests_when_lite_serves_few_operations_then_the_rest_is_probed_once_and_missed_by_nobody(double):
    with node(double) as n:
        until(lambda: n.uplink.connected)

        assert n.nucleus.kind == double.kind.name
        assert n.nucleus.tell_state("RUNNING")
        assert double.states == ["RUNNING"]
    assert double.errors == (Counter() if double.kind is CLASSIC else Counter(_REFUSED_BY_LITE))


_REFUSED_BY_LITE = {"SubscribeToValidateConfigurationUpdates: ServiceError": 1}


def test_connect_when_the_nucleus_refuses_then_it_says_which_kind_of_trouble_it_is(double):
    nucleus = Nucleus(ComponentAddress(str(double.socket), "of yesterday"))
    for _ in range(4):
        with pytest.raises(TransportError, match="hung up"):
            nucleus.connect()
    with pytest.raises(TransportRefusedError, match="SVCUID"):
        nucleus.connect()
    double.stop()
    with pytest.raises(TransportError, match="cannot be reached"):
        nucleus.connect()


def test_address_when_printed_then_the_token_is_not_shown(double):
    address = ComponentAddress.from_environment(double.env)

    assert double.env["SVCUID"] not in repr(address)
    assert ComponentAddress.from_environment({}) is None


def test_nucleus_when_awsiotsdk_is_missing_then_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "awsiot.greengrasscoreipc", None)

    with pytest.raises(ConfigError, match=r"pip install 'gluon-edge\[greengrass\]'"):
        Nucleus(ComponentAddress("/nowhere", "t"))
