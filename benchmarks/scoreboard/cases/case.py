"""What a case is, and what several of them do."""

import time
from collections.abc import Callable

from benchmarks.scoreboard.harness import Node, Stage, until
from benchmarks.scoreboard.sum import Sum

__all__ = ["CASES", "Case", "case", "end", "let_it_work"]

Case = Callable[[str, bool], tuple[bool, Sum]]
CASES: dict[str, tuple[str, Case]] = {}


def case(number: str, what: str) -> Callable[[Case], Case]:
    """Puts a case on the board.

    Raises:
        ValueError: when there is one of this number.
    """

    def register(function: Case) -> Case:
        if number in CASES:
            raise ValueError(f"case {number} is there twice: {CASES[number][0]}, {what}")
        CASES[number] = what, function
        return function

    return register


def let_it_work(node: Node) -> None:
    """A process that is killed while it starts has accepted nothing that could be lost."""
    until(lambda: len(node.accepted) > 100 or node.process.poll() is not None, 60)


def end(stage: Stage, node: Node, *, wait_s: float = 1.0) -> Sum:
    """Lets it run on a little, stops it, lets the next run deliver what this one could not, and adds up."""
    time.sleep(wait_s)
    took = node.stop()
    stage.take(node)
    if not until(lambda: stage.settled(node), 3):
        rest = stage.node("--count", "1")
        until(lambda: stage.settled(rest) or rest.process.poll() is not None, 90)
        rest.stop()
        stage.take(rest)
    total = stage.sum()
    total.notes["stopped_s"] = None if took is None else round(took, 2)
    return total
