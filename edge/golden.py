"""The golden sample: a picture and what the model said of it where it was made; this device must say the same.

`golden/input.png` is the picture, `golden/expected.json` is `{"tolerance": {"score", "box_px"}, "threshold",
"results": [{"label_id", "score", "box"?}]}` with boxes x1 y1 x2 y2 in pixels of the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.bundle import Bundle
from edge.errors import BundleError
from edge.frame import Image
from edge.results import Classification, Detections, Instances, Poses, Result, Segmentation, decode
from edge.stages import Stage, prepare_for

__all__ = ["GoldenReport", "check", "compare", "expected", "golden_image"]

INPUT, EXPECTED = "golden/input.png", "golden/expected.json"

Score = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Tolerance(_Model):
    """How far off is still the same."""

    score: Score
    box_px: Annotated[float, Field(ge=0, le=8192)] = 0.0


class ExpectedResult(_Model):
    """One object or class."""

    label_id: Annotated[int, Field(ge=0)]
    score: Score
    box: tuple[float, float, float, float] | None = None


class ExpectedResults(_Model):
    """golden/expected.json."""

    tolerance: Tolerance
    threshold: Score
    results: Annotated[tuple[ExpectedResult, ...], Field(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """What the comparison found. `worst_score` and `worst_box_px` are the largest differences of what matched."""

    compared: int
    worst_score: float
    worst_box_px: float
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the device computes the same."""
        return not self.problems


def golden_image(bundle: Bundle) -> Image:
    """The golden picture, uint8 [H, W, 3] BGR.

    Raises:
        BundleError: when the bundle has none.
    """
    if INPUT not in bundle.files:
        raise BundleError(f"{bundle.path}: has no {INPUT}; it cannot be tested")
    try:
        image = cv2.imdecode(np.frombuffer(bundle.files[INPUT], np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise BundleError(f"{bundle.path}: {INPUT} is not an image")
    return np.asarray(image, np.uint8)


def expected(result: Result, *, threshold: float, score: float, box_px: float = 0.0) -> dict[str, Any]:
    """The content of golden/expected.json for a result, with the tolerances it is to be met within."""
    tolerance = {"score": score, "box_px": box_px}
    plain = _plain(result)
    rows = zip(plain.labels.tolist(), plain.scores.tolist(), strict=True)
    found: list[dict[str, Any]] = [{"label_id": label, "score": round(value, 6)} for label, value in rows]
    if isinstance(plain, Detections):
        for entry, box in zip(found, plain.boxes.tolist(), strict=True):
            entry["box"] = [round(v, 3) for v in box]
    return {"tolerance": tolerance, "threshold": threshold, "results": found}


def check(bundle: Bundle, stage: Stage) -> GoldenReport:
    """Runs the golden sample through the device's own preparation and kernels.

    Raises:
        BundleError: when the bundle has no usable golden sample.
        SessionError: when the runtime fails.
    """
    want = _read_expected(bundle)
    tensor, placement = prepare_for(bundle, golden_image(bundle))
    outputs = {name: value[0] for name, value in stage.session.infer(tensor[None]).items()}
    task = bundle.manifest.task
    # What was found just above the threshold there may lie just below it here.
    threshold = max(0.0, want.threshold - want.tolerance.score) if task in {"detection", "instances"} else 0.0
    got = decode(task, outputs, placement, threshold=threshold, top=bundle.manifest.classes)
    return compare(want.model_dump(), got, bundle.labels)


def compare(want: Mapping[str, Any], got: Result, labels: Sequence[str]) -> GoldenReport:
    """Compares a result with `expected`'s: detections as sets, one to one; classes by their scores."""
    spec = ExpectedResults.model_validate(want)
    plain = _plain(got)
    if isinstance(plain, Detections):
        return _compare_detections(spec, plain, labels)
    return _compare_classes(spec, plain, labels)


def _read_expected(bundle: Bundle) -> ExpectedResults:
    try:
        return ExpectedResults.model_validate(bundle.json(EXPECTED))
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "it"
        raise BundleError(f"{bundle.path}: {EXPECTED}: {where}: {first['msg']}") from e


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


def _compare_detections(spec: ExpectedResults, got: Detections, labels: Sequence[str]) -> GoldenReport:
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


def _name(labels: Sequence[str], label_id: int) -> str:
    return labels[label_id] if 0 <= label_id < len(labels) else f"label {label_id}"


def _round(box: Sequence[float] | None) -> list[float]:
    return [round(v, 1) for v in box or ()]
