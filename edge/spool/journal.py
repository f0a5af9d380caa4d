"""Which commands a node has seen, so that each happens once however often it comes and whenever the node stops."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.spool.record import Record
from edge.spool.store import Store

__all__ = ["Entry", "Journal", "Refusal"]

_MAX_ROWS = 5000
_MAX_REFUSED = 1000
_COUNTER = "counter:"


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that was written down and not yet answered. `started`: it may have happened already."""

    id: str
    topic: str
    body: bytes
    started: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that was said to the node and not done: `id` is its own where it could be read."""

    id: str
    topic: str
    body: bytes
    reason: str
    at_s: int


class Journal:
    """Commands by id, and the settings they have made, in the spool's file; the uplink's thread uses it.

    A command is written down before its arrival is acknowledged to the broker, and its answer is queued in the very
    transaction that marks it as done. A setting changes in that transaction too, so it happens exactly once. Anything
    else may have happened or not when the node stops between `start` and `finish`: it is answered as interrupted and
    never done again.

    Raises:
        StoreError: from any method: nothing was written.
        StoreCorruptError: from any method: the file needs salvage.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def receive(
        self, ident: str, topic: str, body: bytes, *, at_s: int, key: str | None = None, counter: int = 0
    ) -> bool:
        """Writes a command down; False when it was here before."""
        store = self._store
        with store.transaction():
            if store.query("SELECT 1 FROM commands WHERE id = ?", ident):
                return False
            store.query(
                "INSERT INTO commands (id, topic, body, state, at_s) VALUES (?,?,?,'received',?)",
                ident,
                topic,
                body,
                at_s,
            )
            if key is not None:
                self._set(_COUNTER + key, counter)
            self._forget("done", _MAX_ROWS)
        return True

    def start(self, ident: str) -> None:
        """It is about to happen."""
        with self._store.transaction():
            self._store.query("UPDATE commands SET state = 'started' WHERE id = ?", ident)

    def finish(self, ident: str, answer: Mapping[str, Any], settings: Mapping[str, Any], ack: Record) -> None:
        """It has happened: keeps the answer, makes the settings last, and queues the acknowledgement."""
        with self._store.transaction():
            self._store.query(
                "UPDATE commands SET state = 'done', answer = ? WHERE id = ?",
                json.dumps(answer, allow_nan=False),
                ident,
            )
            for name, value in settings.items():
                self._set(name, value)
            self._store.insert([ack])

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Keeps what was refused, for the audit; under names of its own, so that it takes no command's id away."""
        with self._store.transaction():
            for r in refusals:
                self._store.query(
                    "INSERT INTO commands (id, topic, body, state, answer, at_s) "
                    "VALUES ('refused ' || hex(randomblob(8)) || ' ' || ?,?,?,'refused',?,?)",
                    r.id, r.topic, r.body, r.reason, r.at_s,
                )  # fmt: skip
            self._forget("refused", _MAX_REFUSED)

    def set(self, name: str, value: Any) -> None:
        """Keeps a setting."""
        with self._store.transaction():
            self._set(name, value)

    def settings(self) -> dict[str, Any]:
        """All settings but the keys' counters."""
        rows = self._store.query("SELECT key, value FROM settings")
        return {key: json.loads(value) for key, value in rows if not key.startswith(_COUNTER)}

    def counter(self, key: str) -> int:
        """The highest counter that a key has used."""
        rows = self._store.query("SELECT value FROM settings WHERE key = ?", _COUNTER + key)
        return int(rows[0][0]) if rows else 0

    def knows(self, ident: str) -> bool:
        """Whether a command was written down before."""
        return bool(self._store.query("SELECT 1 FROM commands WHERE id = ?", ident))

    def answer(self, ident: str) -> str | None:
        """What was answered to a command that has been here before; None while it has not been."""
        rows = self._store.query("SELECT answer FROM commands WHERE id = ?", ident)
        return rows[0][0] if rows else None

    def unfinished(self) -> list[Entry]:
        """What was written down and not answered, in the order of arrival."""
        rows = self._store.query(
            "SELECT id, topic, body, state FROM commands WHERE state IN ('received', 'started') ORDER BY rowid"
        )
        return [Entry(ident, topic, body, state == "started") for ident, topic, body, state in rows]

    def audit(self, limit: int = 100) -> list[tuple[Any, ...]]:
        """The newest commands as (id, topic, state, answer, at_s)."""
        return self._store.query(
            "SELECT id, topic, state, answer, at_s FROM commands ORDER BY rowid DESC LIMIT ?", limit
        )

    def _forget(self, state: str, keep: int) -> None:
        """The oldest go; each state has a bound of its own, or refusals would push out what makes a command happen once."""
        self._store.query(
            "DELETE FROM commands WHERE state = ? AND rowid <= "
            "(SELECT rowid FROM commands WHERE state = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
            state, state, keep,
        )  # fmt: skip

    def _set(self, name: str, value: Any) -> None:
        self._store.query(
            "INSERT OR REPLACE INTO settings (key, value) VALUES (?,?)", name, json.dumps(value, allow_nan=False)
        )
