"""The scoreboard's short versions; `python -m benchmarks.scoreboard --full` runs the long ones, beside a naive script.

Left to the command: 3 and 4, which take minutes and count a share of duplicates; 6, which needs a disk to itself.
"""

import pytest

from benchmarks.scoreboard.cases import CASES

IN_CI = ("1", "2", "7", "8", "9", "10", "11", "22", "23", "24")


@pytest.mark.parametrize("number", IN_CI)
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
