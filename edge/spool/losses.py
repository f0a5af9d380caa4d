"""What was given up: counted, written down in the transaction that gives it up or the next one, and told after that."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from edge.spool.record import RANKS
from edge.spool.store import Store

__all__ = ["Losses", "Lost"]

Lost = tuple[int, str, int | None]
"""Rank, reason and sequence number of something given up."""


class Losses:
    """`dropped` counts by rank since the start; `untold` says that there may be some that nobody was told of."""

    def __init__(self) -> None:
        self._unwritten: list[Lost] = []
        self.dropped = dict.fromkeys(RANKS, 0)
        self.untold = True

    @property
    def unwritten(self) -> bool:
        """Whether some are in memory alone."""
        return bool(self._unwritten)

    def note(self, lost: Iterable[Lost]) -> None:
        """Remembers what is gone already until a transaction writes it down."""
        new = list(lost)
        self._count(new)
        self._unwritten += new

    @contextlib.contextmanager
    def transaction(self, store: Store) -> Iterator[list[Lost]]:
        """A transaction that writes down what was given up before it, and what is put into the list inside it.

        If it fails nothing in the list is lost: the rows are still there.
        """
        with store.transaction():
            given_up: list[Lost] = []
            yield given_up
            _write(store, [*self._unwritten, *given_up])
        self._count(given_up)
        self._unwritten.clear()

    def _count(self, lost: Sequence[Lost]) -> None:
        for rank, _reason, _seq in lost:
            self.dropped[rank] += 1
            self.untold = True


def _write(store: Store, lost: Sequence[Lost]) -> None:
    groups: dict[tuple[int, str], list[int | None]] = {}
    for rank, reason, seq in lost:
        groups.setdefault((rank, reason), []).append(seq)
    for (rank, reason), seqs in groups.items():
        store.ledger.dropped(rank, reason, seqs)
