"""The results of each task against MXNet's: what counts as the same, with ties named rather than hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from export.graph import Array, Graph
from export.heads.classification import ends_in_softmax
from export.heads.segmentation import class_scores
from export.match import Detections, Match, match
from export.places import place_error
from export.tolerances import OUTPUTS, Tolerance

__all__ = ["COMPARE", "OutputDifference", "Results", "difference"]


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How far one output of the finished model is from MXNet's, and how far it may be."""

    name: str
    max_abs: float
    max_rel: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Results:
    """The same pictures through both: our outputs by name, MXNet's in its order; `picture_hw` in pixels."""

    graph: Graph
    actual: Mapping[str, Array]
    expected: Sequence[Array]
    picture_hw: tuple[int, int]


# The differences, and how many detections have no partner on the other side.
Found = tuple[list[OutputDifference], int]


def difference(name: str, actual: Array, expected: Array, *, limit: Tolerance | None = None) -> OutputDifference:
    """How far two arrays are apart; `limit` is that of the output's name unless given."""
    one, two = actual.astype(np.float64), expected.astype(np.float64)
    if one.shape != two.shape:
        return OutputDifference(name, float("inf"), float("inf"), 0.0)
    gap = np.abs(one - two)
    magnitude = np.abs(two)
    relative = gap / np.maximum(magnitude, 1e-12)
    allowed = (limit or OUTPUTS[name]).allowed(float(magnitude.max(initial=0)))
    return OutputDifference(name, float(gap.max(initial=0)), float(relative.max(initial=0)), allowed)


def _classification(results: Results) -> Found:
    logits = results.expected[0].reshape(len(results.expected[0]), -1).astype(np.float64)
    if not ends_in_softmax(results.graph):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        logits = powers / powers.sum(axis=1, keepdims=True)
    return [difference("scores", results.actual["scores"], logits)], 0


def _detection(results: Results) -> Found:
    rows = results.actual["scores"].shape[1]
    matches = [match(*pair, rows=rows) for pair, _ in _pictures(results)]
    return _matched(matches), sum(item.unmatched for item in matches)


def _instances(results: Results) -> Found:
    matches, worst = [], 0.0
    actual, expected = results.actual, results.expected
    for index, (pair, rows) in enumerate(_pictures(results)):
        matches.append(match(*pair, rows=actual["scores"].shape[1]))
        for theirs, ours in matches[-1].pairs:
            gap = np.abs(actual["masks"][index, ours] - expected[3][index, rows[theirs]])
            worst = max(worst, float(gap.max(initial=0)))
    masks = OutputDifference("masks", worst, worst, OUTPUTS["masks"].absolute)
    return [*_matched(matches), masks], sum(item.unmatched for item in matches)


def _pictures(results: Results) -> Iterator[tuple[tuple[Detections, Detections], Array]]:
    """For each picture ours and theirs, and which of MXNet's rows theirs are."""
    actual, expected = results.actual, results.expected
    # CenterNet gives ids and scores without the last dimension of one.
    ids, scores = (array.reshape(*array.shape[:2], 1) for array in expected[:2])
    rows = actual["scores"].shape[1]
    for index, count in enumerate(actual["count"]):
        boxes, values, labels = (actual[name][index, : int(count)] for name in ("boxes", "scores", "labels"))
        valid = np.flatnonzero((ids[index, :, 0] >= 0) & (scores[index, :, 0] > 0))
        best = valid[np.argsort(-scores[index, valid, 0], kind="stable")][:rows]
        theirs = Detections(expected[2][index, best], scores[index, best, 0], ids[index, best, 0])
        yield (Detections(boxes, values, labels), theirs), best


def _matched(matches: list[Match]) -> list[OutputDifference]:
    score = max((item.score_abs for item in matches), default=0.0)
    box = max((item.box_abs for item in matches), default=0.0)
    magnitude = max((item.box_magnitude for item in matches), default=0.0)
    return [
        OutputDifference("boxes", box, box / max(magnitude, 1.0), OUTPUTS["boxes"].allowed(magnitude)),
        OutputDifference("scores", score, score, OUTPUTS["scores"].absolute),
    ]


def _segmentation(results: Results) -> Found:
    scores = class_scores(results.graph, results.expected[0]).astype(np.float64)
    height, width = scores.shape[2:]
    mask = results.actual["mask"]
    rows, columns = (np.arange(n) * m // n for n, m in zip(mask.shape[1:], (height, width), strict=True))
    scores = scores[:, :, rows][:, :, :, columns]
    # How much worse the class taken is than the best one: at a border between classes rounding decides.
    taken = np.take_along_axis(scores, mask[:, None].astype(np.int64), 1)[:, 0]
    worst = float((scores.max(axis=1) - taken).max(initial=0))
    limit = OUTPUTS["mask"].allowed(float(np.abs(scores).max(initial=0)))
    return [OutputDifference("mask", worst, worst / max(float(np.abs(scores).max(initial=0)), 1e-12), limit)], 0


def _pose(results: Results) -> Found:
    heat, found = results.expected[0], results.actual["keypoints"]
    peaks = heat.reshape(*heat.shape[:2], -1).max(axis=2)
    score = difference("keypoints", found[:, :, 2], peaks)
    # Two cells each wrong by the tolerance may change places.
    slack = 2 * score.tolerance
    pairs = zip(heat, found[:, :, :2], strict=True)
    worst = float(np.max([place_error(*pair, results.picture_hw, slack=slack) for pair in pairs]))
    places = OutputDifference("places", worst, worst / max(results.picture_hw), OUTPUTS["places"].absolute)
    return [score, places], 0


COMPARE: Final[dict[str, Callable[[Results], Found]]] = {
    "classification": _classification,
    "detection": _detection,
    "instances": _instances,
    "pose": _pose,
    "segmentation": _segmentation,
}
