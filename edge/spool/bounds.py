"""How much the spool may hold and how long; how often it writes."""

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The spool's settings.

    `group_s` is the window of the promise: a message that the broker acknowledges within it never touches the disk,
    any other is committed when it ends. `drain_per_s` bounds the backlog, never what is fresh; a backlog of up to
    `in_order_rows` goes first and at once, so that a short cut changes no order at all.
    """

    max_bytes: int = 256 << 20
    max_age_s: int = 7 * 86_400
    group_s: float = 0.3
    group_rows: int = 1000
    memory_bytes: int = 8 << 20
    fresh_bytes: int = 1 << 20
    ballast_bytes: int = 4 << 20
    drain_per_s: float = 500.0
    in_order_rows: int = 1000
    dead_rows: int = 1000
    dead_bytes: int = 4 << 20
    keep_acknowledged: bool = False
    suspect_after: int = 5
