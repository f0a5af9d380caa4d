"""What is answered to a command, and what is kept of it: `ack/<id>`, the asker's own topic, and the audit in the journal.

An answer goes into the spool in the transaction that marks its command as done. What was refused is kept too, together
once a second and up to a bound, since anybody can cause it without end; it is told as class C, which pushes out no event.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.clock import iso_utc
from edge.commands.gate import Command
from edge.delivery.outbox import record_of
from edge.message import Extras, IllegalMessageError, Importance, Message, encode
from edge.reporting.payloads import Payloads
from edge.spool import Spool
from edge.spool.errors import StoreCorruptError, StoreError
from edge.spool.journal import Journal, Refusal
from edge.transports.transport import Received

__all__ = ["Answers", "Job"]

log = logging.getLogger(__name__)

_UNKNOWN = "-"
_NOTE_EVERY_S = 1.0
_NOTED_AT_ONCE = 200
_LIFE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Job:
    """A command on its way; `noted` once its start is on the disk."""

    command: Command
    answer_to: str | None = None
    correlation: bytes | None = None
    noted: threading.Event = field(default_factory=threading.Event)


class Answers:
    """Answers for a node; all on the uplink's thread."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads
        self._spool: Spool | None = None
        self._refusals: list[Refusal] = []
        self._unnoted = 0
        self._note_at_s = 0.0
        self.refused = 0

    def open(self, spool: Spool) -> None:
        """Where the answers go."""
        self._spool = spool

    def journal(self) -> Journal | None:
        """What is known of commands; None while the disk fails."""
        store = self._spool.disk.store if self._spool is not None else None
        return Journal(store) if store is not None else None

    def settle(self, job: Job, status: str, result: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Once and for all: with the settings that are to last."""
        journal, spool = self.journal(), self._spool
        if spool is None:
            return
        record = record_of(self._ack(job.command, status, result))
        try:
            if journal is None:
                spool.put(record)
            else:
                spool.adopt(record, lambda: journal.finish(job.command.id, dict(result), settings, record))
        except (StoreError, StoreCorruptError) as e:
            log.warning("command %s: its answer is not on the disk: %s", job.command.id, e)
            spool.put(record)
        self._send_to_asker(job, status, result)

    def refuse(self, verb: str, ident: str | None, reason: str, message: Received) -> None:
        """Says no, and keeps that somebody asked."""
        log.warning("command %r %s refused: %s", verb[:32], ident or _UNKNOWN, reason)
        self.note(ident or _UNKNOWN, reason, message)
        job = Job(Command(ident or _UNKNOWN, verb[:32]), message.answer_to, message.correlation)
        result = {"reason": reason}
        if self._spool is not None:
            self._spool.put(record_of(self._ack(job.command, "refused", result, Importance.C)))
            self._send_to_asker(job, "refused", result)

    def note(self, ident: str, reason: str, message: Received) -> None:
        """Keeps something refused for the audit."""
        self.refused += 1
        if len(self._refusals) < _NOTED_AT_ONCE:
            at_s = self._payloads.clock.wall_ns() // 1_000_000_000
            self._refusals.append(Refusal(ident, message.topic[:300], message.payload[:1024], reason, at_s))
        else:
            self._unnoted += 1

    def step(self, *, last: bool = False) -> None:
        """Writes down what was refused, when it is time."""
        now_s = time.monotonic()
        if not self._refusals or (now_s < self._note_at_s and not last):
            return
        journal = self.journal()
        if journal is None:
            return
        if self._unnoted:
            reason = f"{self._unnoted} more were refused within the same second"
            self._refusals.append(Refusal(_UNKNOWN, "", b"", reason, self._refusals[-1].at_s))
        try:
            journal.refuse(self._refusals)
        except (StoreError, StoreCorruptError) as e:
            log.warning("%d refused commands are not in the audit: %s", len(self._refusals) + self._unnoted, e)
        self._refusals, self._unnoted = [], 0
        self._note_at_s = now_s + _NOTE_EVERY_S

    def _send_to_asker(self, job: Job, status: str, result: Mapping[str, Any]) -> None:
        """MQTT 5's way: to the topic that came with the question."""
        if job.answer_to is None or self._spool is None:
            return
        try:
            ack = self._ack(job.command, status, result, Importance.C, job.answer_to, job.correlation)
        except IllegalMessageError as e:
            log.warning("command %s: the asker's topic cannot be used: %s", job.command.id, e)
            return
        self._spool.put(record_of(ack))

    def _ack(
        self,
        command: Command,
        status: str,
        result: Mapping[str, Any],
        importance: Importance = Importance.A,
        topic: str | None = None,
        correlation: bytes | None = None,
    ) -> Message:
        payload = {
            "schema": "ack/1.0",
            "boot_id": self._payloads.boot_id,
            "node": self._payloads.node,
            "id": command.id,
            "verb": command.verb,
            "status": status,
            "result": dict(result),
            "at": iso_utc(self._payloads.clock.wall_ns()),
        }
        return Message(
            topic or self._payloads.topic("ack", command.id),
            encode(payload),
            importance,
            lifetime_s=_LIFE_S,
            extras=Extras("application/json", correlation),
        )
