"""What a golden sample expects, and whether a result is that: sets of boxes one to one, classes, masks by pixels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from edge.results import Classification, Detections, Instances, Poses, Result, Segmentation

__all__ = ["ExpectedResults", "GoldenReport", "compare", "expected"]

Score = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Tolerance(_Model):
    """How far off is still the same: of a score, of a box's side, and which share of pixels may be of another class."""

    score: Score
    box_px: Annotated[float, Field(ge=0, le=8192)] = 0.0
    pixels: Score = 0.0


class ExpectedResult(_Model):
    """One object or class."""

    label_id: Annotated[int, Field(ge=0)]
    score: Score
    box: tuple[float, float, float, float] | None = None
    area: Score | None = None


class ExpectedResults(_Model):
    """golden/expected.json."""

    tolerance: Tolerance
    threshold: Score
    results: Annotated[tuple[ExpectedResult, ...], Field(max_length=10_000)]
    labels_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    catches: Annotated[tuple[str, ...], Field(max_length=16)] = ()


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """What the comparison found. `worst_score` and `worst_box_px` are the largest differences of what matched."""

    compared: int
    worst_score: float
    worst_box_px: float
    problems: tuple[str, ...]
    catches: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the device computes the same."""
        return not self.problems


def expected(
    result: Result,
    *,
    threshold: float,
    score: float,
    box_px: float = 0.0,
    pixels: float = 0.0,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The content of golden/expected.json for a result, with the tolerances it is to be met within."""
    tolerance = {"score": score, "box_px": box_px, "pixels": pixels}
    plain = _plain(result)
    rows = zip(plain.labels.tolist(), plain.scores.tolist(), strict=True)
    found: list[dict[str, Any]] = [{"label_id": label, "score": round(value, 6)} for label, value in rows]
    if isinstance(plain, Detections):
        for entry, box in zip(found, plain.boxes.tolist(), strict=True):
            entry["box"] = [round(v, 3) for v in box]
    if isinstance(result, Instances):
        for i, entry in enumerate(found):
            entry["area"] = round(_share(result, i), 5)
    named = {} if labels is None else {"labels_sha256": _digest(labels)}
    return {"tolerance": tolerance, "threshold": threshold, "results": found, **named}


def compare(
    want: Mapping[str, Any], got: Result, labels: Sequence[str], *, mask: NDArray[np.uint8] | None = None
) -> GoldenReport:
    """Compares a result with `expected`'s: detections as sets, one to one; classes by their scores; masks by pixels."""
    spec = ExpectedResults.model_validate(want)
    plain = _plain(got)
    if isinstance(plain, Detections):
        areas = [_share(got, i) for i in range(len(plain.scores))] if isinstance(got, Instances) else None
        report = _compare_detections(spec, plain, labels, areas)
    else:
        report = _compare_classes(spec, plain, labels)
    problems = list(report.problems)
    if spec.labels_sha256 not in {None, _digest(labels)}:
        problems.insert(0, "the labels are not those, in the order, that the sample was made with")
    if mask is not None and isinstance(got, Segmentation):
        problems += _compare_masks(mask, got.mask, spec.tolerance.pixels)
    return replace(report, problems=tuple(problems), catches=spec.catches)


def _compare_masks(want: NDArray[np.uint8], got: NDArray[np.uint8], tolerance: float) -> list[str]:
    if want.shape != got.shape:
        return [f"expected a mask of {want.shape[1]}x{want.shape[0]}, found {got.shape[1]}x{got.shape[0]}"]
    other = float(np.mean(want != got))
    return [f"{other:.2%} of the pixels are of another class than expected"] if other > tolerance else []


def _plain(result: Result) -> Classification | Detections:
    """Any result in the two shapes that are compared.

    Instances count by their boxes; a class map by the share of pixels that each class has; joints as boxes without
    a size, each with its own label.
    """
    if isinstance(result, Instances):
        return result.detections
    if isinstance(result, Segmentation):
        classes, pixels = np.unique(result.mask, return_counts=True)
        return Classification(classes.astype(np.int64), (pixels / result.mask.size).astype(np.float32))
    if isinstance(result, Poses):
        joints = result.keypoints.reshape(-1, 3)
        labels = np.tile(np.arange(result.keypoints.shape[1]), len(result.keypoints))
        return Detections(joints[:, [0, 1, 0, 1]], np.clip(joints[:, 2], 0, 1), labels)
    return result


def _compare_detections(
    spec: ExpectedResults, got: Detections, labels: Sequence[str], areas: Sequence[float] | None
) -> GoldenReport:
    def covers(w: ExpectedResult, j: int) -> bool:
        return areas is None or w.area is None or abs(w.area - areas[j]) <= spec.tolerance.pixels

    score_off = np.array([[abs(w.score - s) for s in got.scores.tolist()] for w in spec.results])
    box_off = np.array([[_box_off(w, b) for b in got.boxes.tolist()] for w in spec.results])
    partners: list[list[int]] = []
    for i, w in enumerate(spec.results):
        fits = [
            j
            for j, label in enumerate(got.labels.tolist())
            if label == w.label_id
            and score_off[i, j] <= spec.tolerance.score
            and box_off[i, j] <= spec.tolerance.box_px
            and covers(w, j)
        ]
        partners.append(sorted(fits, key=lambda j, i=i: (box_off[i, j], score_off[i, j])))  # type: ignore[misc]
    taken = _pair(partners)
    problems = [
        f"expected {_name(labels, w.label_id)} {w.score:.3f} at {_round(w.box)}, and nothing found is within tolerance"
        for i, w in enumerate(spec.results)
        if i not in taken.values()
    ]
    for j, (label, score) in enumerate(zip(got.labels.tolist(), got.scores.tolist(), strict=True)):
        if j not in taken and not score <= spec.threshold + spec.tolerance.score:
            box = _round(got.boxes[j].tolist())
            problems.append(f"found {_name(labels, label)} {score:.3f} at {box}, which is not expected")
    return GoldenReport(
        compared=len(spec.results),
        worst_score=max((float(score_off[i, j]) for j, i in taken.items()), default=0.0),
        worst_box_px=max((float(box_off[i, j]) for j, i in taken.items()), default=0.0),
        problems=tuple(problems),
    )


def _compare_classes(spec: ExpectedResults, got: Classification | Detections, labels: Sequence[str]) -> GoldenReport:
    scores = dict(zip(got.labels.tolist(), got.scores.tolist(), strict=True))
    problems = []
    worst = 0.0
    for w in spec.results:
        score = scores.get(w.label_id, 0.0)
        if not abs(score - w.score) <= spec.tolerance.score:
            problems.append(f"expected {_name(labels, w.label_id)} {w.score:.3f}, found {score:.3f}")
        else:
            worst = max(worst, abs(score - w.score))
    known = {w.label_id for w in spec.results}
    floor = min((w.score for w in spec.results), default=1.0)
    problems += [
        f"found {_name(labels, label)} {score:.3f}, which is not among the best expected"
        for label, score in scores.items()
        if label not in known and not score <= floor + spec.tolerance.score
    ]
    return GoldenReport(compared=len(spec.results), worst_score=worst, worst_box_px=0.0, problems=tuple(problems))


def _pair(partners: Sequence[Sequence[int]]) -> dict[int, int]:
    """As many one-to-one pairs as there can be (augmenting paths): partner -> who has it."""
    taken: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j in partners[i]:
            if j not in tried:
                tried.add(j)
                if j not in taken or place(taken[j], tried):
                    taken[j] = i
                    return True
        return False

    for i in range(len(partners)):
        place(i, set())
    return taken


def _box_off(want: ExpectedResult, box: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(want.box, box, strict=True)) if want.box else 0.0


def _share(result: Instances, i: int) -> float:
    """How much of its box an object's mask covers, on the mask's own grid."""
    return float(np.mean(result.masks[i] > 0.5)) if result.masks[i].size else 0.0


def _digest(labels: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()


def _name(labels: Sequence[str], label_id: int) -> str:
    return labels[label_id] if 0 <= label_id < len(labels) else f"label {label_id}"


def _round(box: Sequence[float] | None) -> list[float]:
    return [round(v, 1) for v in box or ()]
