"""What may be sent, and what waits until it is."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.message import IllegalMessageError, Importance, Message, encode
from edge.outbox import MemoryOutbox


def message(n, importance=Importance.A, *, topic=None, last=False, size=10):
    return Message(topic or f"edge/n/{n}", b"x" * size, importance, stamped=False, last_value=last)


def outbox(messages=100, size=1 << 18):
    return MemoryOutbox(max_messages=messages, max_bytes=size)


def drain(box):
    taken = []
    while (entry := box.take()) is not None:
        taken.append(entry)
    return taken


@pytest.mark.parametrize(
    "topic",
    ["", "a/b/c/d/e/f/g/h/i", "x" * 257, "é" * 129, "a/+/b", "a/#", "a\x00b", "a\nb", "$SYS/x", "a\ud800b", "a\x85"],
)
def test_message_when_its_topic_is_illegal_somewhere_then_it_never_enters(topic):
    with pytest.raises(IllegalMessageError):
        Message(topic, b"{}", Importance.A)


def test_message_when_it_is_as_large_as_can_be_then_the_payload_still_fits_with_its_stamp():
    sent_at = "2026-11-22T10:22:01.123456Z"
    body = b'{"a":"' + b"x" * (128 * 1024 - 80 - 8) + b'"}'

    payload = Message("t", body, Importance.A).payload(sent_at=sent_at, replayed=False)

    assert len(payload) <= 128 * 1024
    assert json.loads(payload)["sent_at"] == sent_at
    with pytest.raises(IllegalMessageError):
        Message("t", body + b" ", Importance.A)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.none(), min_size=1), st.booleans())
def test_payload_when_stamped_then_it_is_the_same_object_and_two_keys_more(body, replayed):
    payload = Message("t", encode(body), Importance.A).payload(sent_at="now", replayed=replayed)

    assert json.loads(payload) == {**body, "sent_at": "now", "replayed": replayed}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_encode_when_a_number_is_none_then_it_is_refused(value):
    with pytest.raises(IllegalMessageError):
        encode({"score": value})


def test_outbox_when_full_then_the_oldest_of_the_least_important_goes():
    box = outbox(messages=3)
    for n, importance in enumerate([Importance.A, Importance.C, Importance.B, Importance.C, Importance.A]):
        box.put(message(n, importance))

    assert [e.message.topic for e in drain(box)] == ["edge/n/0", "edge/n/2", "edge/n/4"]
    assert box.dropped == {"NOW_OR_NEVER": 0, "C": 2, "B": 0, "A": 0}


def test_outbox_when_full_of_the_important_then_the_oldest_goes_and_the_newest_stays():
    box = outbox(messages=3)
    for n in range(5):
        box.put(message(n))

    assert [e.message.topic for e in drain(box)] == ["edge/n/2", "edge/n/3", "edge/n/4"]
    assert box.dropped["A"] == 2


def test_outbox_when_full_in_bytes_then_it_stays_within_them():
    box = outbox(messages=10_000, size=10_000)
    for n in range(500):
        box.put(message(n, size=900))
        assert box.size <= 10_000


def test_outbox_when_what_is_under_way_comes_back_then_the_order_is_the_old_one():
    box = outbox()
    for n in range(6):
        box.put(message(n, Importance.A if n % 2 else Importance.B))
    taken = [box.take() for _ in range(4)]
    box.done(taken[1])

    box.give_back([taken[3], taken[0], taken[2]])

    assert [e.message.topic for e in drain(box)] == [f"edge/n/{n}" for n in (0, 2, 3, 4, 5)]
    assert box.depth == 5


def test_outbox_when_a_last_value_changes_before_it_is_sent_then_only_the_newest_is():
    box = outbox()
    for size in (1, 2, 3):
        box.put(message(0, Importance.B, topic="edge/n/count", last=True, size=size))

    assert [len(e.message.body) for e in drain(box)] == [3]


def test_outbox_when_connected_then_last_values_are_queued_again_and_frames_of_the_past_are_not():
    box = outbox()
    box.put(message(0, Importance.B, topic="edge/n/state", last=True))
    box.done(box.take())
    box.put(message(1, Importance.NOW_OR_NEVER))
    box.put(message(2))

    box.connected()

    assert [e.message.topic for e in drain(box)] == ["edge/n/2", "edge/n/state"]


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "done", "back"]), st.integers(0, 3)), max_size=80))
def test_outbox_when_anything_happens_then_bounds_hold_and_sizes_add_up(steps):
    box = MemoryOutbox(max_messages=8, max_bytes=2000)
    way = []
    n = 0
    for what, k in steps:
        if what == "put":
            n += 1
            box.put(message(n, Importance(k), last=k == 2, topic=f"edge/n/{n % 5}" if k == 2 else None))
        elif what == "take" and len(way) < 4 and (entry := box.take()) is not None:
            way.append(entry)
        elif what == "done" and way:
            box.done(way.pop(k % len(way)))
        elif what == "back" and way:
            box.give_back([way.pop(k % len(way))])
        assert box.depth <= 8 + len(way)
    box.give_back(way)
    rest = drain(box)
    assert [e.order for e in rest] == sorted(e.order for e in rest)
    assert box.size == sum(e.message.size for e in rest)
