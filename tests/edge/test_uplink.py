"""The thread between spool and transport, against transports that do every wrong thing."""

import time

import pytest
from uplinks import FakeTransport, event, running, until

from edge.message import Importance, Message
from edge.transports import Connected, Disconnected, Received, Verdict


def test_uplink_when_all_is_well_then_online_first_everything_once_and_stopped_last():
    transport = FakeTransport()
    with running(transport) as (uplink, outbox):
        for n in range(50):
            outbox.put(event(n))
        until(lambda: uplink.sent == 50)

    assert transport.topics() == ["edge/n/status", *(f"edge/n/c/{n}" for n in range(50)), "edge/n/status"]
    assert transport.sent[0][1:] == (b"online", 1, True)
    assert transport.sent[-1][1:] == (b"stopped", 1, True)
    assert outbox.depth == 0


def test_uplink_when_refused_then_it_is_not_connected_and_sends_nothing():
    transport = FakeTransport(Disconnected("bad user name or password", refused=True))
    with running(transport, stop_s=0.2) as (uplink, outbox):
        outbox.put(event(1))
        time.sleep(0.2)
        assert not uplink.connected
        assert transport.sent == []
        assert outbox.depth == 1


def test_uplink_when_refused_then_it_waits_the_longest_and_when_lost_with_full_jitter():
    refused = FakeTransport(Disconnected("no", refused=True))
    with running(refused, min_wait_s=0.01, max_wait_s=0.4, chance=lambda: 0.5, stop_s=0):
        time.sleep(0.75)
    assert len(refused.connects) == 3, "at 0, 0.3 and 0.6 s"

    lost = FakeTransport(Disconnected("away"))
    chances = iter([1.0, 0.0, 1.0, 1.0] + [1.0] * 99)
    with running(lost, min_wait_s=0.05, max_wait_s=0.4, chance=lambda: next(chances), stop_s=0):
        until(lambda: len(lost.connects) >= 5)
    gaps = [b - a for a, b in zip(lost.connects, lost.connects[1:], strict=False)]
    assert gaps[:4] == pytest.approx([0.1, 0.05, 0.4, 0.4], abs=0.08)


def test_uplink_when_the_connection_goes_then_it_is_no_longer_connected_and_what_was_not_acknowledged_comes_again():
    transport = FakeTransport(acknowledge=False)
    with running(transport) as (uplink, outbox):
        for n in range(4):
            outbox.put(event(n))
        until(lambda: len(transport.under_way) == 4)
        transport.answer(2)  # status is 0, so this is event 1
        until(lambda: outbox.depth == 3)
        transport.answers = [None, Connected()]
        transport.say(Disconnected("gone"))
        until(lambda: not uplink.connected)
        transport.acknowledge = True
        transport.say(Connected())
        until(lambda: outbox.depth == 0)

    again = [t for t in transport.topics()[5:] if t.startswith("edge/n/c/")]
    assert again == ["edge/n/c/0", "edge/n/c/2", "edge/n/c/3"], "in order, without what was acknowledged"
    assert all(b'"replayed":true' in p for t, p, *_ in transport.sent[6:-1])
    assert all(b'"replayed":false' in p for t, p, *_ in transport.sent[1:5])


def test_uplink_when_the_broker_is_slow_then_no_more_than_the_window_is_under_way():
    transport = FakeTransport(Connected(window=7), acknowledge=False)
    with running(transport) as (_, outbox):
        for n in range(40):
            outbox.put(event(n))
        for token in range(1, 41):
            until(lambda: token in transport.under_way)  # noqa: B023
            transport.answer(token)
        until(lambda: outbox.depth == 0)
        transport.acknowledge = True

    assert transport.most_under_way == 7


def test_uplink_when_send_raises_then_the_thread_lives_and_the_message_is_not_lost():
    transport = FakeTransport()
    with running(transport) as (uplink, outbox):
        until(lambda: uplink.connected)
        transport.fail_with = RuntimeError("once")
        outbox.put(event(1))
        outbox.put(event(2))
        until(lambda: uplink.sent == 2)

    assert sorted(t for t in transport.topics() if t.startswith("edge/n/c/")) == ["edge/n/c/1", "edge/n/c/2"]


def test_uplink_when_send_raises_at_the_same_message_again_then_it_is_given_up_and_the_rest_flows():
    transport = FakeTransport()
    send = transport.send

    def raise_at_one(topic, payload, *, qos, retain, extras=None):
        if topic == "edge/n/c/1":
            raise ValueError("poison")
        return send(topic, payload, qos=qos, retain=retain, extras=extras)

    transport.send = raise_at_one
    with running(transport) as (uplink, outbox):
        for n in range(3):
            outbox.put(event(n))
        until(lambda: outbox.depth == 0)

    assert (uplink.sent, uplink.dead) == (2, 1)


def test_uplink_when_one_message_is_never_accepted_then_the_rest_flows():
    transport = FakeTransport()
    transport.verdicts["edge/n/c/1"] = Verdict.NEVER
    with running(transport) as (uplink, outbox):
        for n in range(3):
            outbox.put(event(n))
        until(lambda: outbox.depth == 0)

    assert (uplink.sent, uplink.dead) == (2, 1)


def test_uplink_when_a_message_is_larger_than_the_broker_takes_then_it_is_given_up():
    transport = FakeTransport(Connected(max_packet=300))
    with running(transport) as (uplink, outbox):
        outbox.put(Message("edge/n/c/big", b'"' + b"x" * 400 + b'"', Importance.A))
        outbox.put(event(1))
        until(lambda: outbox.depth == 0)

    assert (uplink.sent, uplink.dead) == (1, 1)


def test_uplink_when_the_broker_does_not_retain_then_nothing_is_sent_retained():
    transport = FakeTransport(Connected(retain=False))
    with running(transport) as (uplink, outbox):
        outbox.put(event(1, retain=True))
        until(lambda: uplink.sent == 1)

    assert not any(retain for *_, retain in transport.sent)


def test_uplink_when_the_broker_acknowledges_nothing_then_the_connection_is_given_up_and_the_message_comes_again():
    transport = FakeTransport(acknowledge=False)
    with running(transport, ack_timeout_s=0.2) as (uplink, outbox):
        outbox.put(event(1))
        until(lambda: len(transport.connects) == 2)
        transport.acknowledge = True
        until(lambda: uplink.sent == 1)

    assert transport.topics().count("edge/n/c/1") >= 2


def test_uplink_when_a_state_of_the_past_is_delivered_then_it_is_not_retained_over_the_present_one():
    transport = FakeTransport(None, Connected())
    with running(transport) as (uplink, outbox):
        until(lambda: transport.connects)
        for body in (b'{"a":1}', b'{"a":2}'):
            outbox.put(Message("edge/n/c/state", body, Importance.B, retain=True, last_value=True, history=True))
        time.sleep(0.05)
        transport.say(Connected())
        until(lambda: uplink.sent == 2)

    states = [(p[:7], retain) for t, p, _, retain in transport.sent if t.endswith("state")]
    assert states == [(b'{"a":1,', False), (b'{"a":2,', True)]


def test_uplink_when_something_is_said_to_us_then_it_is_heard_before_it_is_acknowledged():
    heard = []

    class Ear:
        filters = ("edge/n/cmd/+",)

        def connected(self):
            heard.append("connected")

        def heard(self, message):
            heard.append((message.topic, len(transport.acknowledged)))
            if message.topic == "bad":
                raise RuntimeError("stumbled")

        def step(self, *, last=False):
            pass

    transport = FakeTransport()
    with running(transport, hearing=Ear()) as (uplink, outbox):
        until(lambda: uplink.connected)
        transport.say(Received("edge/n/cmd/ping", b"{}", 1, token=7))
        until(lambda: transport.acknowledged)
        transport.say(Received("bad", b"{}", 1, token=8))
        until(lambda: len(transport.acknowledged) == 2)
        outbox.put(event(1))
        until(lambda: uplink.sent == 1)

    assert transport.filters == ("edge/n/cmd/+",)
    assert heard[:3] == ["connected", ("edge/n/cmd/ping", 0), ("bad", 1)]


def test_uplink_when_idle_then_it_costs_no_cpu():
    with running(FakeTransport()) as (uplink, _):
        until(lambda: uplink.connected)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.05


def test_stop_when_the_broker_says_nothing_then_it_ends_within_what_is_left_and_what_waits_is_kept():
    transport = FakeTransport(acknowledge=False)
    with running(transport) as (uplink, outbox):
        for n in range(5):
            outbox.put(event(n))
        until(lambda: len(transport.sent) > 5)

        begun = time.monotonic()
        assert uplink.stop(60.0, within_s=1.5)

        assert time.monotonic() - begun < 30, "not the minute that there is to drain"
        assert outbox.depth == 5
        assert transport.sent[-1][1] == b"stopped"


def test_stop_when_it_is_near_then_no_other_connection_is_opened_and_nobody_waits_for_one():
    transport = FakeTransport(Disconnected("away"))
    with running(transport) as (uplink, outbox):
        outbox.put(event(1))
        until(lambda: len(transport.connects) > 3)

        uplink.last_connection()
        before = len(transport.connects)
        time.sleep(0.3)
        assert len(transport.connects) <= before + 1, "but one that was about to"
        begun = time.monotonic()
        assert uplink.stop(60.0)

        assert time.monotonic() - begun < 30
        assert outbox.depth == 1
