"""What a stopped node could not send: looked at, queued once more, or thrown away."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.message import IllegalMessageError, Importance, Message
from edge.spool.errors import StoreCorruptError, StoreError
from edge.spool.record import RANKS, Record
from edge.spool.store import Store

__all__ = ["DeadLetter", "dead_letters", "drop", "retry"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that the broker did not take for good. `number` is its name here, `seq` the node's count of it."""

    number: int
    seq: int | None
    importance: Importance
    topic: str
    body: bytes
    reason: str


def dead_letters(spool: Path, numbers: Collection[int] = ()) -> list[DeadLetter]:
    """Those with these numbers, or all, oldest first.

    Raises:
        ConfigError: when there is no such spool or number, or an agent has it.
    """
    with _opened(spool) as store:
        return _found(store, numbers)


def retry(spool: Path, numbers: Collection[int] = ()) -> int:
    """Queues those with these numbers, or all, behind what waits; how many.

    Each goes as the event it was: at QoS 1, not retained, since a state of the past must not stand for the present.

    Raises:
        ConfigError: also when one is illegal for any broker, and then nothing has happened.
    """
    with _opened(spool) as store:
        letters = _found(store, numbers)
        records = [_record(letter, store.last_row + i, store.meta("age_s")) for i, letter in enumerate(letters, 1)]
        with store.transaction():
            store.insert(records)
            store.ledger.exhume([letter.number for letter in letters])
    return len(letters)


def drop(spool: Path, numbers: Collection[int] = ()) -> int:
    """Throws those with these numbers, or all, away; how many. Each was told in a `gap` receipt when it was set aside.

    Raises:
        ConfigError: as above.
    """
    with _opened(spool) as store:
        letters = _found(store, numbers)
        with store.transaction():
            store.ledger.exhume([letter.number for letter in letters])
    return len(letters)


@contextlib.contextmanager
def _opened(spool: Path) -> Iterator[Store]:
    if not spool.exists():
        raise ConfigError(f"{spool}: no such file; state_dir says where a node keeps its spool")
    try:
        store = Store(spool)
        try:
            yield store
        finally:
            store.close()
    except (StoreError, StoreCorruptError) as e:
        raise ConfigError(f"{spool}: {e}; stop the agent first") from e


def _found(store: Store, numbers: Collection[int]) -> list[DeadLetter]:
    rows = store.query("SELECT n, seq, rank, topic, body, reason FROM dead ORDER BY n")
    letters = [
        DeadLetter(n, seq, Importance(rank if rank in RANKS else Importance.C), topic, bytes(body), reason)
        for n, seq, rank, topic, body, reason in rows
        if not numbers or n in numbers
    ]
    missing = sorted(set(numbers) - {letter.number for letter in letters})
    if missing:
        raise ConfigError(f"there is no dead letter {missing[0]}; `gluon-edge dead list` tells which there are")
    return letters


def _record(letter: DeadLetter, row: int, age_s: int) -> Record:
    stamped = letter.body.startswith(b"{")
    try:
        Message(letter.topic, letter.body, letter.importance, stamped=stamped)
    except IllegalMessageError as e:
        raise ConfigError(f"dead letter {letter.number} cannot be sent to any broker: {e}; drop it") from e
    return Record(
        letter.topic,
        letter.body,
        max(int(letter.importance), int(Importance.C)),
        stamped=stamped,
        seq=letter.seq,
        row=row,
        born_s=age_s,
    )
