"""The scoreboard's short versions; `python -m benchmarks.scoreboard --full` runs the long ones, beside a naive script.

All are played side by side when the first is asked for: most of their time is waiting.
"""

import json

import pytest

from benchmarks.scoreboard.board import numbers, play
from benchmarks.scoreboard.cases.case import case
from benchmarks.scoreboard.cases.suites import SUITES
from benchmarks.scoreboard.sum import added_up

pytestmark = pytest.mark.alone

PLAYED = [number for number in numbers() if number not in SUITES]


@pytest.fixture(scope="module")
def agent():
    return {row["case"]: row for row in play(PLAYED, "agent", full=False)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", PLAYED)
def test_case_when_it_happens_then_nothing_accepted_is_lost(agent, number):
    row = agent[number]

    if row["notes"].get("skipped"):
        pytest.skip(row["notes"]["skipped"])
    assert row["passed"], json.dumps(row)


def test_case_when_the_subject_is_a_naive_script_then_the_harness_sees_what_it_loses():
    (row,) = play(["2"], "naive", full=False)

    assert not row["passed"]
    assert row["missing"] > 0


def test_case_when_its_number_is_taken_then_it_is_not_put_on_the_board():
    with pytest.raises(ValueError, match="case 2 is there twice"):
        case("2", "another")(lambda _subject, _full: None)


def test_sum_when_events_are_missing_twice_or_late_then_it_counts_them():
    def came(*seqs):
        return [(("b", seq), "gate", False) for seq in seqs]

    wanted = {("b", seq) for seq in range(1, 7)}
    total = added_up(wanted, came(1, 3, 2, 3, 5), {("b", 6)})

    assert (total.accepted, total.missing, total.duplicates, total.disordered) == (6, 1, 1, 1)
    assert not total.sound
    assert added_up(wanted, came(*range(1, 7)), set()).sound
