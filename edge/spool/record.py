"""A row of the spool: a message, its place in the order, and what is known about its delivery."""

from dataclasses import dataclass

__all__ = ["KEPT", "OVERHEAD_BYTES", "RANKS", "Record"]

RANKS = {0: "N", 1: "C", 2: "B", 3: "A"}
"""Ranks by their letter in the contract; the lowest goes first when not everything can be kept."""

KEPT = 4
"""Taken off the rank of a row that was acknowledged and is kept for replay: such rows go before all others."""

OVERHEAD_BYTES = 64
"""What a row costs beside its topic and body: columns, index entries, the page's share."""


@dataclass(slots=True)
class Record:
    """What waits for the broker.

    `row` is the order of arrival. `seq` is the node's counter of events where the message carries one. `volatile`
    records live in memory only: they are worth nothing, or are sent anew, after the connection they were made for.
    The newest `last_value` of each topic is sent again on every connect, be it volatile or not. `saved` is set once the
    row is committed, `gone` once it was given up, `replayed` once a newer one may overtake it, and then `newest` when
    none has, of its topic. `refused` says why a message can never be sent: it is only kept as a dead letter. A `receipt`
    tells what was given up, and so is not given up itself.
    """

    topic: str
    body: bytes
    rank: int
    qos: int = 1
    retain: bool = False
    stamped: bool = False
    seq: int | None = None
    id: str | None = None
    lifetime_s: float | None = None
    properties: str | None = None
    last_value: bool = False
    volatile: bool = False
    refused: str | None = None
    receipt: bool = False
    row: int = 0
    born_s: int = 0
    expires_s: int | None = None
    attempts: int = 0
    saved: bool = False
    gone: bool = False
    replayed: bool = False
    newest: bool = False

    @property
    def size(self) -> int:
        """Bytes counted against the bound."""
        return len(self.topic) + len(self.body) + OVERHEAD_BYTES

    @property
    def letter(self) -> str:
        """The class of the contract."""
        return RANKS[self.rank if self.rank >= 0 else self.rank + KEPT]

    def again(self) -> "Record":
        """A last value told again; the transport may still hold the one before."""
        return Record(
            self.topic,
            self.body,
            self.rank,
            qos=self.qos,
            retain=self.retain,
            stamped=self.stamped,
            properties=self.properties,
            last_value=True,
            volatile=True,
        )
