"""What is in a camera's view, label by label, told without a tracker: somebody came, there are more, all are gone.

A *visit* lasts from the first frame that shows a label until it has been absent for `hold_s`. Its count rises at
once and falls only when fewer were seen for `hold_s`, so that a detector's flicker is not told as coming and going.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.frame import Frame
from edge.scene.sighting import Change, Kind, Sighting
from edge.sequence import new_id

__all__ = ["Scene"]


@dataclass(slots=True)
class _Visit:
    """A label's stay in the view. `best` is the surest sighting of the frame that showed it last."""

    id: str
    best: Sighting
    top_score: float
    count: int
    start_mono_ns: int
    seen_mono_ns: int
    told_mono_ns: int
    told_count: int
    fewer_since_ns: int | None = None
    most_since: int = 0


class Scene:
    """One camera's view. `exclusive`: only one label can be there at a time (classification)."""

    def __init__(self, *, hold_s: float, cooldown_s: float, exclusive: bool = False) -> None:
        self.change(hold_s=hold_s, cooldown_s=cooldown_s)
        self._exclusive = exclusive
        self._visits: dict[int, _Visit] = {}

    def change(self, *, hold_s: float, cooldown_s: float) -> None:
        """Other times from the next frame on."""
        self._hold_ns = round(hold_s * 1e9)
        self._cooldown_ns = round(cooldown_s * 1e9)

    @property
    def counts(self) -> dict[int, int]:
        """How many of each label are in view."""
        return {label: visit.count for label, visit in self._visits.items()}

    def see(self, frame: Frame, sightings: Sequence[Sighting]) -> list[Change]:
        """The changes that a frame brings."""
        seen: dict[int, list[Sighting]] = {}
        for sighting in sightings:
            seen.setdefault(sighting.label_id, []).append(sighting)
        changes = self._displace(frame, seen) if self._exclusive else []
        for label, visit in list(self._visits.items()):
            changes += self._go_on(visit, frame, seen.pop(label, []))
        for label, group in seen.items():
            best = max(group, key=lambda s: s.score)
            visit = _Visit(
                id=new_id(frame.captured_ns),
                best=best,
                top_score=best.score,
                count=len(group),
                start_mono_ns=frame.mono_ns,
                seen_mono_ns=frame.mono_ns,
                told_mono_ns=frame.mono_ns,
                told_count=len(group),
            )
            self._visits[label] = visit
            changes.append(_change("new", visit))
        return changes

    def leave(self) -> list[Change]:
        """Ends every visit: the camera is away, and what it would show is not known."""
        changes = [_change("end", visit) for visit in self._visits.values()]
        self._visits.clear()
        return changes

    def _displace(self, frame: Frame, seen: dict[int, list[Sighting]]) -> list[Change]:
        """Another class ends the one before, but not more often than the cooldown lets it."""
        changes = []
        for label, visit in list(self._visits.items()):
            if seen and label not in seen:
                if frame.mono_ns - visit.told_mono_ns >= self._cooldown_ns:
                    changes.append(_change("end", self._visits.pop(label)))
                else:
                    seen.clear()
        return changes

    def _go_on(self, visit: _Visit, frame: Frame, group: Sequence[Sighting]) -> list[Change]:
        count = len(group)
        if group:
            visit.best = max(group, key=lambda s: s.score)
            visit.top_score = max(visit.top_score, visit.best.score)
            visit.seen_mono_ns = frame.mono_ns
        if count >= visit.count:
            visit.count, visit.fewer_since_ns = count, None
        elif visit.fewer_since_ns is None:
            visit.fewer_since_ns, visit.most_since = frame.mono_ns, count
        else:
            visit.most_since = max(count, visit.most_since)
        if visit.fewer_since_ns is not None and frame.mono_ns - visit.fewer_since_ns >= self._hold_ns:
            visit.count, visit.fewer_since_ns = visit.most_since, None
        if visit.count == 0:
            del self._visits[visit.best.label_id]
            return [_change("end", visit)]
        if visit.count != visit.told_count and frame.mono_ns - visit.told_mono_ns >= self._cooldown_ns:
            visit.told_count, visit.told_mono_ns = visit.count, frame.mono_ns
            return [_change("update", visit)]
        return []


def _change(kind: Kind, visit: _Visit) -> Change:
    return Change(kind, visit.id, visit.best, visit.top_score, visit.count, visit.start_mono_ns, visit.seen_mono_ns)
