"""Runs cases side by side, since most of their time is waiting, and gives their rows as they come."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from typing import Any

from benchmarks.scoreboard.cases import CASES

__all__ = ["JOBS", "numbers", "play"]

JOBS = max(2, 2 * (os.cpu_count() or 1))

_LONGEST_FIRST = ("4", "19", "21", "6", "20", "3", "8", "25", "24", "12", "14")
"""As last recorded: one of these begun last would be waited for alone."""


def numbers() -> list[str]:
    """Every case's number, in order."""
    return sorted(CASES, key=int)


def play(wanted: Sequence[str], subject: str, *, full: bool, jobs: int = JOBS) -> Iterator[dict[str, Any]]:
    """A row a case: its number, what it is, whether the subject passed, and the numbers that say why."""
    first = [number for number in _LONGEST_FIRST if number in wanted]
    ordered = [*first, *(number for number in wanted if number not in first)]
    with ThreadPoolExecutor(jobs, thread_name_prefix="case") as pool:
        for future in as_completed([pool.submit(_row, number, subject, full) for number in ordered]):
            yield future.result()


def _row(number: str, subject: str, full: bool) -> dict[str, Any]:
    what, run = CASES[number]
    begun = time.monotonic()
    passed, total = run(subject, full)
    return {
        "case": number,
        "what": what,
        "passed": passed,
        "seconds": round(time.monotonic() - begun, 1),
        **asdict(total),
    }
