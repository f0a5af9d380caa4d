"""The scoreboard's short versions; `python -m benchmarks.scoreboard --full` runs the long ones, beside a naive script."""

import pytest

from benchmarks.scoreboard.cases import CASES


@pytest.mark.parametrize("number", CASES)
def test_case_when_it_happens_then_nothing_accepted_is_lost(number):
    what, run = CASES[number]

    passed, total = run("agent", False)

    if total.notes.get("skipped"):
        pytest.skip(total.notes["skipped"])
    assert passed, f"{what}: {total}"


def test_case_when_the_subject_is_a_naive_script_then_the_harness_sees_what_it_loses():
    passed, total = CASES["2"][1]("naive", False)

    assert not passed
    assert total.missing > 0
