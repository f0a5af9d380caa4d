"""What did not go the usual way: messages that can never be sent, and what was given up and has to be told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.spool.record import RANKS, Record

__all__ = ["Drop", "Ledger"]

MAX_DROP_RANGES = 200


@dataclass(frozen=True, slots=True)
class Drop:
    """Something that was given up: how many of a class, with which sequence numbers, and why."""

    letter: str
    reason: str
    first_seq: int | None
    last_seq: int | None
    count: int


class Ledger:
    """The tables `dead` and `drops`, on the store's connection and inside its transactions."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def bury(self, record: Record, reason: str, *, max_rows: int, max_bytes: int) -> None:
        """Puts a message among the dead letters; the oldest of those go when there are too many."""
        self._db.execute(
            "INSERT INTO dead (row, rank, seq, topic, body, reason, at_s) VALUES (?,?,?,?,?,?,?)",
            (
                record.row,
                record.rank,
                record.seq,
                record.topic[:512],
                record.body[:max_bytes],
                reason[:300],
                record.born_s,
            ),
        )
        while True:
            count, size = self._db.execute("SELECT count(*), total(length(body)) FROM dead").fetchone()
            if count <= max_rows and size <= max_bytes:
                return
            self._db.execute("DELETE FROM dead WHERE n = (SELECT min(n) FROM dead)")

    def dead(self) -> list[tuple[int, str, bytes, str]]:
        """The dead letters as (n, topic, body, reason), oldest first."""
        return self._db.execute("SELECT n, topic, body, reason FROM dead ORDER BY n").fetchall()  # type: ignore[no-any-return]

    def exhume(self, numbers: Sequence[int]) -> None:
        """Takes dead letters away."""
        self._db.executemany("DELETE FROM dead WHERE n = ?", [(n,) for n in numbers])

    def dropped(self, rank: int, reason: str, seqs: Sequence[int | None]) -> None:
        """Writes down what is given up; ranges that follow each other become one."""
        for first, last, count in _ranges(seqs):
            low: int | None = first
            high: int | None = last
            near = self._db.execute(
                "SELECT n, first_seq, last_seq FROM drops WHERE rank = ? AND reason = ? AND (first_seq IS NULL) = ? "
                "ORDER BY n DESC LIMIT 1",
                (rank, reason, first is None),
            ).fetchone()
            follows = near and (first is None or near[2] + 1 == first)
            if near and not follows:
                follows = self._db.execute("SELECT count(*) FROM drops").fetchone()[0] >= MAX_DROP_RANGES
            if follows:
                if first is not None and last is not None:
                    low, high = min(first, near[1]), max(last, near[2])
                self._db.execute(
                    "UPDATE drops SET first_seq = ?, last_seq = ?, count = count + ? WHERE n = ?",
                    (low, high, count, near[0]),
                )
            else:
                self._db.execute(
                    "INSERT INTO drops (rank, reason, first_seq, last_seq, count) VALUES (?,?,?,?,?)",
                    (rank, reason, first, last, count),
                )

    def drops(self) -> list[Drop]:
        """What was given up and not yet told."""
        rows = self._db.execute("SELECT rank, reason, first_seq, last_seq, count FROM drops ORDER BY n").fetchall()
        return [Drop(RANKS.get(rank, "C"), *rest) for rank, *rest in rows]

    def forget_drops(self) -> None:
        """They are told: inside the transaction that queues the receipts."""
        self._db.execute("DELETE FROM drops")


def _ranges(seqs: Sequence[int | None]) -> Iterator[tuple[int, int, int] | tuple[None, None, int]]:
    """Runs of numbers that follow each other, then the count of rows that have none."""
    numbered = sorted(s for s in seqs if s is not None)
    start = 0
    for i, seq in enumerate(numbered):
        if i + 1 == len(numbered) or numbered[i + 1] != seq + 1:
            yield numbered[start], seq, i + 1 - start
            start = i + 1
    if len(numbered) < len(seqs):
        yield None, None, len(seqs) - len(numbered)
