"""The thread between outbox and transport, against transports that do every wrong thing."""

import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.clock import Clock
from edge.delivery.outbox import SpoolOutbox
from edge.delivery.refusals import Refusals
from edge.delivery.uplink import Uplink
from edge.errors import ConfigError
from edge.message import Importance, Message
from edge.sequence import Sequence, new_id
from edge.spool import AgeClock, Bounds, Record, Spool
from edge.transports import Acknowledged, Connected, Disconnected, Received, Verdict


class FakeTransport:
    """Answers connects from a script (the last answer for ever); acknowledges when told to, or at once."""

    def __init__(self, *answers, acknowledge=True):
        self.answers = list(answers) or [Connected()]
        self.acknowledge = acknowledge
        self.sent = []
        self.connects = []
        self.disconnects = 0
        self.acknowledged = []
        self.most_under_way = 0
        self.under_way = set()
        self.fail_with = None
        self.verdicts = {}
        self._notices = []
        self._wake = lambda: None
        self._lock = threading.Lock()

    def connect(self, wake):
        self._wake = wake
        self.connects.append(time.monotonic())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is not None:
            self.say(answer)

    def say(self, notice):
        with self._lock:
            self._notices.append(notice)
        self._wake()

    def notices(self):
        with self._lock:
            notices, self._notices = self._notices, []
        return notices

    def subscribe(self, filters):
        self.filters = filters

    def confirm(self, message):
        self.acknowledged.append(message)

    def send(self, topic, payload, *, qos, retain, extras=None):  # noqa: ARG002 - the protocol's
        if self.fail_with is not None:
            error, self.fail_with = self.fail_with, None
            raise error
        token = len(self.sent)
        self.sent.append((topic, payload, qos, retain))
        if topic != "edge/n/status":
            self.under_way.add(token)
            self.most_under_way = max(self.most_under_way, len(self.under_way))
        if self.acknowledge or topic == "edge/n/status":
            self.answer(token)
        return token

    def answer(self, token):
        self.under_way.discard(token)
        self.say(Acknowledged(token, self.verdicts.get(self.sent[token][0], Verdict.ACCEPTED)))

    def disconnect(self):
        self.disconnects += 1
        self.under_way.clear()
        with self._lock:
            self._notices.clear()

    def topics(self):
        return [topic for topic, *_ in self.sent]


class Outbox(SpoolOutbox):
    @property
    def depth(self):
        return self._spool.depth


@contextmanager
def running(transport, *, stop_s=1.0, **settings):
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(
            Path(folder) / "spool",
            bounds=Bounds(ballast_bytes=0, drain_per_s=1e6),
            clock=AgeClock(time.monotonic, time.time, lambda: True),
            mono_s=time.monotonic,
            receipt=lambda drop: Record("edge/n/gap", drop.reason.encode(), 3),
        )
        settings = {"min_wait_s": 0.01, "max_wait_s": 0.02, **settings}
        uplink = Uplink(transport, spool, status_topic="edge/n/status", clock=Clock(), **settings)
        spool.inbox.wake = uplink.wake
        uplink.start()
        try:
            yield uplink, Outbox(spool)
        finally:
            assert uplink.stop(stop_s)
            spool.close()


def event(n, importance=Importance.A, **more):
    return Message(f"edge/n/c/{n}", b'{"n":%d}' % n, importance, **more)


def until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


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


def test_sequence_when_processes_follow_each_other_then_numbers_never_repeat(tmp_path):
    used = []
    for i in range(4):
        sequence = Sequence(tmp_path, "n")
        used += [sequence.next() for _ in range(5 + 700 * i)]
        sequence.close()  # as a kill would: nothing is written on the way out

    assert used[0] == 1
    assert used == sorted(set(used))


def test_sequence_when_its_file_is_damaged_then_it_is_kept_aside_and_numbers_go_on_far_ahead(tmp_path, caplog):
    sequence = Sequence(tmp_path, "n")
    first = sequence.next()
    sequence.close()
    (tmp_path / "n.seq").write_bytes(b"\xff\x00garbage")

    sequence = Sequence(tmp_path, "n")

    assert sequence.next() > first + 1_000_000
    assert next(tmp_path.glob("n.damaged-*")).read_bytes() == b"\xff\x00garbage"
    assert "damaged" in caplog.text
    sequence.close()


def test_sequence_when_another_agent_has_it_then_it_is_refused(tmp_path):
    sequence = Sequence(tmp_path, "n")
    try:
        with pytest.raises(ConfigError, match="another agent runs as node 'n'"):
            Sequence(tmp_path, "n")
        Sequence(tmp_path, "other").close()
    finally:
        sequence.close()


def test_sequence_when_the_folder_cannot_be_made_then_the_line_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"state_dir .*file/state: Not a directory"):
        Sequence(tmp_path / "file" / "state", "n")


def test_new_id_when_time_passes_then_ids_sort_by_it():
    ids = [new_id(ms * 1_000_000) for ms in (0, 1, 1_700_000_000_000, 1_700_000_000_001, (1 << 48) - 1)]

    assert ids == sorted(ids)
    assert all(len(i) == 26 for i in ids)
    assert len({new_id(0) for _ in range(100)}) == 100


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
