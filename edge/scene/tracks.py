"""Objects followed from frame to frame, so that an event is about one of them.

Boxes are paired as in C-BIoU (Yang et al., 2023, https://arxiv.org/abs/2211.14317): by the overlap of boxes that are
grown on all sides, a little first, then more for those left over, so that what is fast, or seen rarely, is met too.
Pairs are taken greedily, the surest first, where the paper solves an assignment; a box is expected where the running
mean of its velocity carries it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.frame import Frame
from edge.scene.sighting import Box, Change, Kind, Sighting
from edge.scene.zones import Zone
from edge.sequence import new_id

__all__ = ["Tracker"]

_GROWN = (0.3, 0.5)  # of a box's width and height, on each side: the paper's
_LEAST_OVERLAP = 0.1
_CARRIED_S = 1.0  # a velocity says nothing about later
_NEWEST = 0.5  # the newest step's part in the running mean
_SAME_PLACE = 0.6  # overlap with where it stopped
_STILL_NS = 10_000_000_000


@dataclass(slots=True)
class _Track:
    """One object; `velocity` of its centre in shares a second, `anchor` the box where it last came to rest."""

    id: str
    best: Sighting
    box: Box
    top_score: float
    start_mono_ns: int
    mono_ns: int
    anchor: Box
    anchored_ns: int
    zones: tuple[str, ...]
    entered: tuple[str, ...]
    told: tuple[bool, tuple[str, ...]]
    told_ns: int
    velocity: tuple[float, float] = (0.0, 0.0)
    absent_since_ns: int | None = None
    stationary: bool = False


class Tracker:
    """The objects in front of one camera. `see` takes frames in the order in which they were taken."""

    def __init__(self, *, hold_s: float, cooldown_s: float, zones: Sequence[Zone] = ()) -> None:
        self.change(hold_s=hold_s, cooldown_s=cooldown_s)
        self._zones = zones
        self._tracks: list[_Track] = []

    def change(self, *, hold_s: float, cooldown_s: float) -> None:
        """Other times from the next frame on."""
        self._hold_ns = round(hold_s * 1e9)
        self._cooldown_ns = round(cooldown_s * 1e9)

    def see(self, frame: Frame, sightings: Sequence[Sighting]) -> list[Change]:
        """The changes that a frame brings: who came, who has been away for `hold_s`, who went elsewhere or stopped."""
        seen = [(s, b) for s in sightings if (b := s.box) is not None and b[0] < b[2] and b[1] < b[3]]
        partner = self._pair(frame, seen)
        changes: list[Change] = []
        tracks: list[_Track] = []
        for i, track in enumerate(self._tracks):
            if i in partner:
                self._step(track, frame, *seen[partner[i]])
            elif not self._holds(track, frame):
                changes.append(_change("end", track))
                continue
            now = track.stationary, track.zones
            if now != track.told and frame.mono_ns - track.told_ns >= self._cooldown_ns:
                track.told, track.told_ns = now, frame.mono_ns
                changes.append(_change("update", track))
            tracks.append(track)
        taken = set(partner.values())
        for j, (sighting, box) in enumerate(seen):
            if j not in taken:
                track = self._begin(frame, sighting, box)
                changes.append(_change("new", track))
                tracks.append(track)
        self._tracks = tracks
        return changes

    def leave(self) -> list[Change]:
        """Ends every track: the camera is away."""
        changes = [_change("end", track) for track in self._tracks]
        self._tracks = []
        return changes

    def _begin(self, frame: Frame, sighting: Sighting, box: Box) -> _Track:
        zones = self._zones_of(sighting.label_id, box, ())
        return _Track(
            id=new_id(frame.captured_ns),
            best=sighting,
            box=box,
            top_score=sighting.score,
            start_mono_ns=frame.mono_ns,
            mono_ns=frame.mono_ns,
            anchor=box,
            anchored_ns=frame.mono_ns,
            zones=zones,
            entered=zones,
            told=(False, zones),
            told_ns=frame.mono_ns,
        )

    def _step(self, track: _Track, frame: Frame, sighting: Sighting, box: Box) -> None:
        track.velocity = _mean(track.velocity, track.box, box, (frame.mono_ns - track.mono_ns) / 1e9)
        if _overlap(box, track.anchor) < _SAME_PLACE:
            track.anchor, track.anchored_ns = box, frame.mono_ns
        track.stationary = frame.mono_ns - track.anchored_ns >= _STILL_NS
        track.best, track.box, track.top_score = sighting, box, max(track.top_score, sighting.score)
        track.mono_ns, track.absent_since_ns = frame.mono_ns, None
        if self._zones:
            track.zones = self._zones_of(sighting.label_id, box, track.zones)
            track.entered += tuple(name for name in track.zones if name not in track.entered)

    def _holds(self, track: _Track, frame: Frame) -> bool:
        """Whether a track goes on that this frame does not show."""
        # Counted from the first frame without it: while the model rests nobody knows.
        if track.absent_since_ns is None:
            track.absent_since_ns = frame.mono_ns
        return frame.mono_ns - track.absent_since_ns < self._hold_ns

    def _zones_of(self, label_id: int, box: Box, before: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(z.name for z in self._zones if z.holds(label_id, box, was_in=z.name in before))

    def _pair(self, frame: Frame, seen: Sequence[tuple[Sighting, Box]]) -> dict[int, int]:
        """For tracks, by index, which of the sightings they are.

        In Python: for the few objects of a frame numpy takes several times as long.
        """
        pairs: dict[int, int] = {}
        waiting = {j: (sighting.label_id, box) for j, (sighting, box) in enumerate(seen)}
        for by in _GROWN:
            if len(pairs) == len(self._tracks) or not waiting:
                break
            grown = [(j, label, _grow(box, by)) for j, (label, box) in waiting.items()]
            near = []
            for i, track in enumerate(self._tracks):
                if i not in pairs:
                    wanted, label = _grow(_carried(track, frame.mono_ns), by), track.best.label_id
                    x1, y1, x2, y2 = wanted
                    near += [
                        (-overlap, i, j)
                        for j, same, box in grown
                        # Most are far apart, which is seen sooner here than in a function.
                        if box[0] < x2 and x1 < box[2] and box[1] < y2 and y1 < box[3] and same == label
                        if (overlap := _overlap(wanted, box)) >= _LEAST_OVERLAP
                    ]
            for _, i, j in sorted(near):
                if i not in pairs and j in waiting:
                    pairs[i] = j
                    del waiting[j]
        return pairs


def _change(kind: Kind, track: _Track) -> Change:
    return Change(
        kind,
        id=track.id,
        best=track.best,
        top_score=track.top_score,
        count=0,
        start_mono_ns=track.start_mono_ns,
        seen_mono_ns=track.mono_ns,
        followed=True,
        stationary=track.stationary,
        zones=track.zones,
        entered=track.entered,
    )


def _carried(track: _Track, mono_ns: int) -> Box:
    seconds = min(_CARRIED_S, (mono_ns - track.mono_ns) / 1e9)
    x, y = track.velocity[0] * seconds, track.velocity[1] * seconds
    x1, y1, x2, y2 = track.box
    return x1 + x, y1 + y, x2 + x, y2 + y


def _mean(velocity: tuple[float, float], before: Box, after: Box, seconds: float) -> tuple[float, float]:
    if seconds <= 0:
        return velocity
    x = ((after[0] + after[2]) - (before[0] + before[2])) / 2 / seconds
    y = ((after[1] + after[3]) - (before[1] + before[3])) / 2 / seconds
    return velocity[0] + _NEWEST * (x - velocity[0]), velocity[1] + _NEWEST * (y - velocity[1])


def _grow(box: Box, by: float) -> Box:
    """A box with `by` of its width and height more on each side."""
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) * by, (y2 - y1) * by
    return x1 - across, y1 - down, x2 + across, y2 + down


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union; 0 for a box without an area."""
    ax1, ay1, ax2, ay2 = a
    bx1, by1, bx2, by2 = b
    # Calling min and max takes as long as all the rest.
    across = (ax2 if ax2 < bx2 else bx2) - (ax1 if ax1 > bx1 else bx1)  # noqa: FURB136
    down = (ay2 if ay2 < by2 else by2) - (ay1 if ay1 > by1 else by1)  # noqa: FURB136
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both)
