"""What may be sent, and what waits until it is."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.delivery.outbox import extras_of, record_of
from edge.message import NO_EXTRAS, Extras, IllegalMessageError, Importance, Message, encode


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


@pytest.mark.parametrize(
    ("message", "volatile", "last_value"),
    [
        (Message("t", b"{}", Importance.A), False, False),
        (Message("t", b"{}", Importance.C, qos=0), False, False),
        (Message("t", b"{}", Importance.NOW_OR_NEVER, qos=0), True, False),
        (Message("t", b"3", Importance.B, stamped=False, last_value=True), True, True),
        (Message("t", b"{}", Importance.B, last_value=True, history=True), False, True),
    ],
)
def test_record_when_made_of_a_message_then_only_what_outlives_the_connection_is_durable(message, volatile, last_value):
    record = record_of(message)

    assert (record.volatile, record.last_value) == (volatile, last_value)
    assert record.rank == int(message.importance)


@pytest.mark.parametrize("extras", [NO_EXTRAS, Extras("image/jpeg"), Extras("application/json", b"\x00\xff")])
def test_extras_when_they_went_through_the_spool_then_they_are_the_same(extras):
    assert extras_of(record_of(Message("t", b"{}", Importance.A, stamped=False, extras=extras)), None) == extras


def test_extras_when_a_message_ends_then_the_broker_is_told_and_json_says_what_it_is():
    assert extras_of(record_of(Message("t", b"{}", Importance.A)), 60) == Extras("application/json", None, 60)
