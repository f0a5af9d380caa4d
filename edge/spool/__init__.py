"""The durable queue between the events and the transport; see docs/delivery.md for what it promises."""

from edge.spool.age import AgeClock
from edge.spool.bounds import Bounds
from edge.spool.ledger import Drop
from edge.spool.record import Record
from edge.spool.spool import Spool

__all__ = ["AgeClock", "Bounds", "Drop", "Record", "Spool"]
