"""Objects followed from frame to frame, so that an event is about one of them.

Boxes are paired as in C-BIoU (Yang et al., 2023, https://arxiv.org/abs/2211.14317): by the overlap of boxes that are
grown on all sides, a little first, then more for those left over, so that what is fast, or seen rarely, is met too.
Pairs are taken greedily, the surest first, where the paper solves an assignment; a box is expected where the running
mean of its velocity carries it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.frame import Frame
from edge.sequence import new_id
from edge.sighting import Box, Change, Kind, Sighting
from edge.zones import Zone

__all__ = ["Tracker"]

_GROWN = (0.3, 0.5)  # of a box's width and height, on each side: the paper's
_LEAST_OVERLAP = 0.1
_CARRIED_S = 1.0  # a velocity says nothing about later
_NEWEST = 0.5  # the newest step's part in the running mean
_SAME_PLACE = 0.6  # overlap with where it stopped
_STILL_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class _Track:
    """One object; `velocity` of its centre in shares a second, `anchor` the box where it last came to rest."""

    id: str
    best: Sighting
    box: Box
    top_score: float
    start_ns: int
    seen_ns: int
    mono_ns: int
    anchor: Box
    anchored_ns: int
    velocity: tuple[float, float] = (0.0, 0.0)
    absent_since_ns: int | None = None
    stationary: bool = False
    zones: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()
    told: tuple[bool, tuple[str, ...]] = (False, ())
    told_ns: int = 0


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
        seen = [(s, s.box) for s in sightings if s.box is not None and s.area]
        partner = self._pair(frame, seen)
        changes: list[Change] = []
        tracks: list[_Track] = []
        for i, track in enumerate(self._tracks):
            after = self._step(track, frame, *seen[partner[i]]) if i in partner else self._miss(track, frame)
            if after is None:
                changes.append(_change("end", track))
                continue
            now = after.stationary, after.zones
            if now != after.told and frame.mono_ns - after.told_ns >= self._cooldown_ns:
                after = replace(after, told=now, told_ns=frame.mono_ns)
                changes.append(_change("update", after))
            tracks.append(after)
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
            start_ns=frame.captured_ns,
            seen_ns=frame.captured_ns,
            mono_ns=frame.mono_ns,
            anchor=box,
            anchored_ns=frame.mono_ns,
            zones=zones,
            entered=zones,
            told=(False, zones),
            told_ns=frame.mono_ns,
        )

    def _step(self, track: _Track, frame: Frame, sighting: Sighting, box: Box) -> _Track:
        seconds = (frame.mono_ns - track.mono_ns) / 1e9
        moves = _overlap(box, track.anchor) < _SAME_PLACE
        zones = self._zones_of(sighting.label_id, box, track.zones)
        return replace(
            track,
            best=sighting,
            box=box,
            top_score=max(track.top_score, sighting.score),
            seen_ns=frame.captured_ns,
            mono_ns=frame.mono_ns,
            velocity=_mean(track.velocity, track.box, box, seconds),
            absent_since_ns=None,
            anchor=box if moves else track.anchor,
            anchored_ns=frame.mono_ns if moves else track.anchored_ns,
            stationary=not moves and frame.mono_ns - track.anchored_ns >= _STILL_NS,
            zones=zones,
            entered=(*track.entered, *(name for name in zones if name not in track.entered)),
        )

    def _miss(self, track: _Track, frame: Frame) -> _Track | None:
        # Counted from the first frame without it: while the model rests nobody knows.
        since = frame.mono_ns if track.absent_since_ns is None else track.absent_since_ns
        return None if frame.mono_ns - since >= self._hold_ns else replace(track, absent_since_ns=since)

    def _zones_of(self, label_id: int, box: Box, before: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(z.name for z in self._zones if z.holds(label_id, box, was_in=z.name in before))

    def _pair(self, frame: Frame, seen: Sequence[tuple[Sighting, Box]]) -> dict[int, int]:
        """For tracks, by index, which of the sightings they are."""
        pairs: dict[int, int] = {}
        if not self._tracks or not seen:
            return pairs
        expected = np.array([_carried(track, frame.mono_ns) for track in self._tracks])
        boxes = np.array([box for _, box in seen])
        same = np.equal.outer([t.best.label_id for t in self._tracks], [s.label_id for s, _ in seen])
        taken: set[int] = set()
        for by in _GROWN:
            overlaps = np.where(same, _overlaps(_grown(expected, by), _grown(boxes, by)), 0.0)
            near = np.argwhere(overlaps >= _LEAST_OVERLAP)
            surest = np.argsort(-overlaps[near[:, 0], near[:, 1]], kind="stable")
            for i, j in near[surest].tolist():
                if i not in pairs and j not in taken:
                    pairs[i] = j
                    taken.add(j)
            if len(pairs) == min(overlaps.shape):
                break
        return pairs


def _change(kind: Kind, track: _Track) -> Change:
    return Change(
        kind,
        id=track.id,
        best=track.best,
        top_score=track.top_score,
        count=0,
        start_ns=track.start_ns,
        seen_ns=track.seen_ns,
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
    x, y = (((after[k] + after[k + 2]) - (before[k] + before[k + 2])) / 2 / seconds for k in (0, 1))
    return velocity[0] + _NEWEST * (x - velocity[0]), velocity[1] + _NEWEST * (y - velocity[1])


def _grown(boxes: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """Boxes [n, 4] with `by` of their width and height more on each side."""
    sides = np.tile((boxes[:, 2:] - boxes[:, :2]) * by, 2)
    return np.asarray(boxes + sides * np.array([-1, -1, 1, 1]))


def _overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes [n, 4] and [m, 4]: [n, m]; 0 for those without an area."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = (a[:, 2:] - a[:, :2]).prod(axis=1)[:, None] + (b[:, 2:] - b[:, :2]).prod(axis=1)[None, :]
    union = areas - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def _overlap(a: Box, b: Box) -> float:
    """As `_overlaps`, of two: in Python, for one pair takes numpy forty times as long."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
