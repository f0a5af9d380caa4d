"""Two models on the same frames: how far they agree, and how their speed compares."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from edge.frame import Image
from edge.results import Result
from edge.scene.sighting import Box, sightings

__all__ = ["Comparison", "Finding", "agreement", "findings", "too_slow"]

_SAME_IOU = 0.5
_SLACK_MS = 5.0

Finding = tuple[str, float, Box | None]
"""A label's name, its score, and its box where it has one."""


def findings(result: Result, image: Image, labels: Sequence[str], *, threshold: float) -> list[Finding]:
    """What a result shows of a picture: objects, or classes without a box."""
    height, width = image.shape[:2]
    return [(labels[s.label_id], s.score, s.box) for s in sightings(result, (width, height), threshold=threshold)]


def agreement(old: Sequence[Finding], new: Sequence[Finding], *, known: frozenset[str]) -> float:
    """0 to 1: twice what both found over all that either did (F1, Dice); 1 when neither found anything.

    The same means the same label and boxes that overlap by half; each is paired once, surest first. Labels that not
    both models know are left out: a model that learns a class does not disagree about the others.
    """
    old, new = ([f for f in found if f[0] in known] for found in (old, new))
    if not old and not new:
        return 1.0
    left = list(new)
    pairs = 0
    for label, _, box in old:
        best = max(
            (other for other in left if other[0] == label and _overlap(box, other[2]) >= _SAME_IOU),
            key=lambda other, box=box: _overlap(box, other[2]),  # type: ignore[misc]
            default=None,
        )
        if best is not None:
            left.remove(best)
            pairs += 1
    return 2 * pairs / (len(old) + len(new))


@dataclass(slots=True)
class Comparison:
    """Sums up frame by frame. Times are milliseconds of preparing, inferring and decoding together."""

    agreements: list[float] = field(default_factory=list)
    old_ms: list[float] = field(default_factory=list)
    new_ms: list[float] = field(default_factory=list)

    def add(self, agreed: float, *, old_ms: float, new_ms: float) -> None:
        """One more frame."""
        self.agreements.append(agreed)
        self.old_ms.append(old_ms)
        self.new_ms.append(new_ms)

    def found(self) -> dict[str, float | int]:
        """The sums, for people: how many frames, mean agreement, and median times."""
        if not self.agreements:
            return {"frames": 0}
        return {
            "frames": len(self.agreements),
            "agreement": round(sum(self.agreements) / len(self.agreements), 4),
            "old_ms": round(median(self.old_ms), 3),
            "new_ms": round(median(self.new_ms), 3),
        }

    def verdict(self, *, min_agreement: float, max_slowdown: float) -> str | None:
        """Why the new model must not take over; None when it may."""
        found = self.found()
        if not found["frames"]:
            return None
        if found["agreement"] < min_agreement:
            return (
                f"it agrees with the running model by {found['agreement']:.2f} over {found['frames']} frames, "
                f"less than updates.min_agreement = {min_agreement:g}"
            )
        return too_slow(found["old_ms"], found["new_ms"], max_slowdown)


def too_slow(old_ms: float, new_ms: float, max_slowdown: float) -> str | None:
    """Why a model is too slow beside the running one; None when it is not. A few milliseconds are never too slow."""
    if new_ms > max_slowdown * old_ms + _SLACK_MS:
        return f"it takes {new_ms:.1f} ms a frame, the running model {old_ms:.1f}: more than updates.max_slowdown = {max_slowdown:g} times"
    return None


def _overlap(a: tuple[float, ...] | None, b: tuple[float, ...] | None) -> float:
    """Intersection over union of two boxes; 1 where there are none."""
    if a is None or b is None:
        return 1.0 if a is b else 0.0
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
