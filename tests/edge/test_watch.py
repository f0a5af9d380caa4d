"""The subscriber for people: lines, gaps and duplicates."""

from hypothesis import given
from hypothesis import strategies as st

from edge.subscriber.watch import Ledger, describe

EVENT = {
    "schema": "event/1.0",
    "type": "new",
    "node": "n1",
    "camera": "door",
    "captured_at": "2026-11-22T10:22:01.123456Z",
    "object": {"label": "person", "score": 0.876, "box": [0.1, 0.2, 0.3, 0.4], "count": 2},
    "timing": {"age_ms": 41.7},
    "replayed": True,
}


def test_describe_when_an_event_comes_then_one_line_says_the_essentials():
    line = describe("edge/n1/door/event", EVENT, 0.0)

    assert line[8:12] == ".123"
    assert line[12:].split() == (
        [
            "n1/door",
            "new",
            "person",
            "x2",
            "0.88",
            "box",
            "0.100",
            "0.200",
            "0.300",
            "0.400",
            "age",
            "42",
            "ms",
            "(replayed)",
        ]
    )


def test_describe_when_a_message_is_strange_then_it_is_shown_as_it_is():
    assert describe("a/b", "online", 0.0).endswith("a/b  online")
    assert describe("a/b", {"x": 1}, 0.0).endswith('a/b  {"x": 1}')
    assert "None" in describe("a/b", {"schema": "event/1.0"}, 0.0)
    assert describe("e", {**EVENT, "captured_at": "yesterday"}, 0.0)


@given(st.lists(st.integers(1, 60), max_size=60), st.integers(1, 3))
def test_ledger_when_numbers_come_in_any_way_then_missing_and_duplicates_are_exact(seqs, boots):
    ledger = Ledger()
    for i, seq in enumerate(seqs):
        ledger.note("n", f"boot{i % boots}", seq)

    duplicates = missing = 0
    for boot in range(boots):
        own = seqs[boot::boots]
        duplicates += len(own) - len(set(own))
        missing += max(own) - min(own) + 1 - len(set(own)) if own else 0
    assert ledger.events == len(seqs)
    assert (ledger.duplicates, ledger.missing) == (duplicates, missing)


def test_ledger_when_a_node_restarts_then_skipped_numbers_are_no_gap():
    ledger = Ledger()
    ledger.note("n", "b1", 10)
    ledger.note("n", "b2", 1000)

    assert (ledger.missing, ledger.duplicates) == (0, 0)


def test_ledger_when_a_number_is_absurd_then_memory_stays_bounded():
    ledger = Ledger()
    ledger.note("n", "b", 1)
    ledger.note("n", "b", 10**15)

    assert ledger.missing == 10**15 - 2
