"""What the broker does not take: what waits, what is tried again and when, and that order holds through it."""

import time

import pytest
from uplinks import FakeTransport, event, running, until

from edge.delivery.refusals import Refusals
from edge.message import Importance, Message
from edge.transports import Acknowledged, Disconnected, Verdict


def test_uplink_when_an_event_is_not_accepted_now_then_it_is_kept_and_a_state_is_not():
    transport = FakeTransport()
    transport.verdicts["edge/n/c/1"] = Verdict.LATER
    transport.verdicts["edge/n/c/2"] = Verdict.LATER
    with running(transport, stop_s=0.1) as (uplink, outbox):
        outbox.put(event(2, Importance.B, last_value=True))
        until(lambda: uplink.refused == 1)
        assert outbox.depth == 0
        outbox.put(event(1))
        until(lambda: uplink.refused == 2)
        assert outbox.depth == 1


def test_uplink_when_policy_denies_a_topic_then_it_says_so_keeps_the_event_and_the_others_flow():
    transport = FakeTransport()
    transport.verdicts["edge/n/c/1"] = Verdict.DENIED
    with running(transport, stop_s=0.1) as (uplink, outbox):
        outbox.put(event(1))
        until(lambda: uplink.refused == 1)
        time.sleep(0.3)
        assert uplink.refused == 1, "it waits two seconds"
        outbox.put(event(2))
        until(lambda: uplink.sent == 1)
        assert "edge/n/c/1" in uplink.alarms["not-taken"]
        until(lambda: outbox.depth == 1)


def test_uplink_when_the_broker_hangs_up_on_what_it_denies_then_the_others_flow_over_the_next_connection():
    transport = FakeTransport(acknowledge=False)
    with running(transport, stop_s=0.1) as (uplink, outbox):
        outbox.put(event(1))
        outbox.put(event(2))
        until(lambda: transport.topics()[-1:] == ["edge/n/c/2"])
        transport.say(Acknowledged(transport.topics().index("edge/n/c/1"), Verdict.DENIED, "not authorised"))
        transport.say(Disconnected("gone"))
        transport.acknowledge = True
        until(lambda: uplink.sent == 1)
        assert transport.topics().count("edge/n/c/1") == 1, "else every connection would begin and end with it"
        assert outbox.depth == 1
        assert "edge/n/c/1" in uplink.alarms["not-taken"]


def test_refusals_when_a_topic_is_denied_again_and_again_then_it_waits_ever_longer_and_its_success_ends_the_alarm():
    refusals = Refusals(longest_s=10, chance=lambda: 1.0)
    now, waits = 0.0, []
    for _ in range(5):
        refusals.refused("t", "no")
        refusals.hold("t", now)
        assert not refusals.due(now)
        begun = now
        while not refusals.due(now):
            now += 0.5
        waits.append(now - begun)
    assert waits == [2, 4, 8, 10, 10]
    assert not refusals.taken("other", now)
    assert refusals.alarm == "the broker does not take t: no"
    assert refusals.denied("t")
    assert refusals.taken("t", now)
    assert refusals.alarm is None
    assert not refusals.denied("t")


def test_refusals_when_a_window_is_refused_for_now_then_that_is_one_pause_and_pauses_grow_until_one_is_taken():
    refusals = Refusals(longest_s=10, chance=lambda: 1.0)
    now, waits = 100.0, []
    for _ in range(5):
        sent = now
        refusals.refused("t", "quota exceeded")
        resumes = refusals.pause(now, sent)
        assert {refusals.pause(now + 0.1 * n, sent) for n in range(20)} == {resumes}
        assert refusals.window(20) == 1
        refusals.taken("t", sent)
        assert refusals.window(20) == 1, "it was under way before the pause: it proves nothing"
        waits.append(resumes - now)
        now = resumes
    assert waits == pytest.approx([1, 2, 4, 8, 10])
    refusals.taken("t", now)
    assert refusals.window(20) == 20
    assert refusals.alarm is None


def test_uplink_when_the_quota_was_exceeded_then_one_goes_alone_until_it_is_taken():
    transport = FakeTransport(acknowledge=False)
    with running(transport) as (uplink, outbox):
        for n in range(30):
            outbox.put(event(n))
        until(lambda: len(transport.under_way) == 19 + 1)
        for token in sorted(transport.under_way):
            transport.under_way.discard(token)
            transport.say(Acknowledged(token, Verdict.LATER, "quota exceeded"))
        until(lambda: len(transport.under_way) == 1)
        time.sleep(0.1)
        assert transport.topics()[-1] == "edge/n/c/0"
        assert len(transport.under_way) == 1
        transport.acknowledge = True
        transport.answer(max(transport.under_way))
        until(lambda: uplink.sent == 30)
    assert transport.topics()[-31:-1] == [f"edge/n/c/{n}" for n in range(30)]


def test_uplink_when_what_is_tried_after_a_quota_is_refused_again_then_order_holds():
    transport = FakeTransport(acknowledge=False)
    order = []
    with running(transport, chance=lambda: 0.0, max_wait_s=0.1) as (uplink, outbox):
        for n in range(30):
            outbox.put(event(n))
        until(lambda: len(transport.under_way) == 20)
        for refusals in range(3):
            for token in sorted(transport.under_way):
                transport.under_way.discard(token)
                transport.say(Acknowledged(token, Verdict.LATER, "quota exceeded"))
            until(lambda: uplink.refused == 20 + refusals and len(transport.under_way) == 1)  # noqa: B023
        while len(order) < 30:
            until(lambda: transport.under_way)
            token = min(transport.under_way)
            order.append(transport.sent[token][0])
            transport.answer(token)
        until(lambda: outbox.depth == 0)
        transport.acknowledge = True
    assert order == [f"edge/n/c/{n}" for n in range(30)]


def test_uplink_when_policy_denies_then_allows_in_the_middle_then_order_holds():
    """The broker denies one camera's topic, is tried twice more, and changes its mind while others flow."""
    transport = FakeTransport()
    transport.verdicts["edge/n/yard/event"] = Verdict.DENIED
    yard = [b'"n":%d,' % n for n in range(40)]

    def put(outbox, n):
        outbox.put(Message("edge/n/yard/event", b'{"n":%d,"s":0}' % n, Importance.A))
        outbox.put(Message("edge/n/gate/event", b'{"n":%d,"s":0}' % n, Importance.A))

    with running(transport) as (uplink, outbox):
        for n in range(20):
            put(outbox, n)
        until(lambda: uplink.refused >= 1 and uplink.sent == 20)
        in_first_window = uplink.refused
        until(lambda: uplink.refused == in_first_window + 1, 10)
        assert transport.topics().count("edge/n/yard/event") == in_first_window + 1, "one was tried, alone"
        transport.verdicts.clear()
        for n in range(20, 40):
            put(outbox, n)
        until(lambda: outbox.depth == 0, 10)
        assert "not-taken" not in uplink.alarms

    came = [p for t, p, *_ in transport.sent if t == "edge/n/yard/event"][in_first_window + 1 :]
    assert len(came) == 40
    assert all(mark in payload for mark, payload in zip(yard, came, strict=True)), "in order, from the oldest on"
