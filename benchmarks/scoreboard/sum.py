"""What was accepted against what came."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Event", "Sum", "added_up"]

Event = tuple[str, int]
"""An event's `boot_id` and `seq`."""


@dataclass
class Sum:
    """What became of what was accepted."""

    accepted: int = 0
    missing: int = 0
    duplicates: int = 0
    disordered: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Nothing missing, nothing out of order, and there was something."""
        return self.accepted > 0 and self.missing == 0 and self.disordered == 0


def added_up(wanted: AbstractSet[Event], came: Sequence[tuple[Event, str, bool]], told: AbstractSet[Event]) -> Sum:
    """What is missing of `wanted` without a receipt in `told`; what `came` twice, or before an older one of its camera.

    `came` is in the order of arrival: the event, its camera, and whether it was replayed; fresh and replayed ones are
    two rows of their own, since a long backlog may follow behind what is fresh.
    """
    times = Counter(event for event, *_ in came)
    disordered = 0
    newest: dict[tuple[str, str, bool], int] = {}
    met: set[Event] = set()
    for event, camera, replayed in came:
        boot, seq = event
        if event not in met:
            disordered += seq < newest.get((boot, camera, replayed), 0)
            newest[boot, camera, replayed] = max(seq, newest.get((boot, camera, replayed), 0))
        met.add(event)
    duplicates = sum(n - 1 for n in times.values())
    return Sum(len(wanted), len(wanted - times.keys() - told), duplicates, disordered)
