"""What waits between the events and the transport: messages go in, the spool keeps them as records."""

import base64
import json
from typing import Protocol

from edge.message import NO_EXTRAS, Extras, Importance, Message
from edge.spool import Record, Spool

__all__ = ["Outbox", "SpoolOutbox", "extras_of", "record_of"]


class Outbox(Protocol):
    """Where messages go. Any thread may put."""

    def put(self, message: Message) -> None:
        """Accepts a message; never blocks."""

    def refuse(self, topic: str, body: bytes, reason: str, seq: int | None) -> None:
        """Keeps what can never be sent among the dead letters."""


class SpoolOutbox:
    """The way into the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def put(self, message: Message) -> None:
        """Accepts a message; what lives longer than its connection is kept over a restart."""
        self._spool.put(record_of(message))

    def refuse(self, topic: str, body: bytes, reason: str, seq: int | None) -> None:
        """Keeps what can never be sent, with the reason."""
        self._spool.put(Record(topic, body, int(Importance.A), seq=seq, refused=reason))


def record_of(message: Message) -> Record:
    """A message as the spool keeps it."""
    extras = message.extras
    properties = None
    if extras is not NO_EXTRAS:
        correlation = None if extras.correlation is None else base64.b64encode(extras.correlation).decode()
        properties = json.dumps([extras.content_type, correlation])
    return Record(
        message.topic,
        message.body,
        int(message.importance),
        qos=message.qos,
        retain=message.retain,
        stamped=message.stamped,
        seq=message.seq,
        id=message.id,
        lifetime_s=message.lifetime_s,
        properties=properties,
        last_value=message.last_value,
        volatile=message.importance is Importance.NOW_OR_NEVER or (message.last_value and not message.history),
    )


def extras_of(record: Record, expires_s: int | None) -> Extras:
    """What MQTT 5 carries beside a record's topic and payload; JSON says so where nothing else does."""
    content_type, correlation = "application/json" if record.stamped else None, None
    if record.properties is not None:
        content_type, correlation = json.loads(record.properties)
    if content_type is correlation is expires_s is None:
        return NO_EXTRAS
    return Extras(content_type, None if correlation is None else base64.b64decode(correlation), expires_s)
