import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.results import Classification, Detections, Segmentation
from export.agreement import agree, box_iou, distance, matched
from export.errors import ExportError


@st.composite
def detections(draw: st.DrawFn, most: int = 6) -> Detections:
    n = draw(st.integers(0, most))
    corner = st.integers(0, 12)
    rows = []
    for _ in range(n):
        x, y, w, h = draw(corner), draw(corner), draw(st.integers(1, 8)), draw(st.integers(1, 8))
        rows.append((x, y, x + w, y + h))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    return Detections(np.array(rows, np.float32).reshape(-1, 4), np.ones(n, np.float32), np.array(labels, np.int64))


def _boxes(*rows: tuple[float, ...], labels: tuple[int, ...] = ()) -> Detections:
    n = len(rows)
    return Detections(
        np.array(rows, np.float32).reshape(-1, 4), np.ones(n, np.float32), np.array(labels or [0] * n, np.int64)
    )


@given(detections(), detections(), st.sampled_from([0.1, 0.5, 0.9]))
def test_matched_pairs_are_as_many_as_any_assignment_has(a: Detections, b: Detections, iou: float) -> None:
    found = matched(a, b, iou=iou)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
    overlap = box_iou(a.boxes, b.boxes)
    assert all(overlap[i, j] >= iou and a.labels[i] == b.labels[j] for i, j in found)
    allowed = (overlap >= iou) & (a.labels[:, None] == b.labels[None])
    if len(a.scores) > len(b.scores):
        allowed = allowed.T
    few, many = allowed.shape
    most = max(sum(allowed[i, j] for i, j in enumerate(chosen)) for chosen in itertools.permutations(range(many), few))
    assert len(found) == most


@given(detections(), detections(), st.randoms(use_true_random=False))
def test_matched_as_sets_knows_no_order_and_no_side(a: Detections, b: Detections, random) -> None:
    order = list(range(len(b.scores)))
    random.shuffle(order)
    shuffled = Detections(b.boxes[order], b.scores[order], b.labels[order])
    assert len(matched(a, b, iou=0.5)) == len(matched(a, shuffled, iou=0.5)) == len(matched(b, a, iou=0.5))


@given(detections())
def test_agreement_of_a_model_with_itself_is_whole(a: Detections) -> None:
    assert agree([a], [a]).value == 1
    np.testing.assert_allclose(np.diag(box_iou(a.boxes, a.boxes)), 1)


def test_box_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 2, 2], [5, 5, 5, 9]], np.float32)
    b = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [9, 9, 10, 10]], np.float32)
    np.testing.assert_allclose(box_iou(a, b), [[1 / 3, 1, 0], [0, 0, 0]])


def test_agree_counts_lost_and_invented_boxes_alike() -> None:
    reference = [_boxes((0, 0, 10, 10), (20, 20, 30, 30)), _boxes()]
    other = [_boxes((0, 0, 10, 10.5)), _boxes((1, 1, 2, 2))]
    found = agree(reference, other, iou=0.9)
    assert found.value == pytest.approx(2 * 1 / 4)
    assert found.numbers == {"images": 2, "reference": 2, "other": 2, "matched_50": 1, "matched_90": 1}


def test_agree_when_a_box_moves_holds_at_half_overlap_only() -> None:
    found = agree([_boxes((0, 0, 10, 10))], [_boxes((0, 0, 10, 13))], iou=0.5)
    assert found.value == 1
    assert found.numbers["matched_90"] == 0


def test_agree_when_the_class_differs_is_nothing() -> None:
    assert agree([_boxes((0, 0, 9, 9), labels=(1,))], [_boxes((0, 0, 9, 9), labels=(2,))]).value == 0


def test_agree_of_classifications_compares_the_best_class() -> None:
    def said(*labels: int) -> Classification:
        return Classification(np.array(labels), np.linspace(1, 0.1, len(labels), dtype=np.float32))

    assert agree([said(1, 2), said(3)], [said(1, 3), said(4)]).value == 0.5


def test_agree_of_segmentations_compares_pixels() -> None:
    a, b = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    b[0] = 3
    assert agree([Segmentation(a)], [Segmentation(b)]).value == 0.75


def test_agree_when_results_cannot_be_compared_is_an_error() -> None:
    with pytest.raises(ExportError, match="Detections and Segmentation"):
        agree([_boxes()], [Segmentation(np.zeros((2, 2), np.uint8))])
    with pytest.raises(ExportError, match="no pictures"):
        agree([], [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        agree([_boxes()], [_boxes(), _boxes()])


@given(detections(), detections())
def test_distance_is_zero_of_equals_and_never_less(a: Detections, b: Detections) -> None:
    assert distance(a, a) == pytest.approx(0, abs=1e-12)
    assert distance(a, b) >= 0


def test_distance_grows_with_overlap_lost_and_scores_moved() -> None:
    one = _boxes((0, 0, 10, 10))
    assert distance(one, _boxes((0, 0, 10, 20))) == pytest.approx(0.5)
    assert distance(one, Detections(one.boxes, one.scores - 0.25, one.labels)) == pytest.approx(0.25)
    assert distance(one, _boxes()) == 1
    assert distance(_boxes(), one) == 0


def test_distance_of_classifications_and_segmentations() -> None:
    a = Classification(np.array([1, 2]), np.array([0.5, 0.25], np.float32))
    b = Classification(np.array([2, 1]), np.array([0.5, 0.25], np.float32))
    assert distance(a, a) == 0
    assert distance(a, b) == pytest.approx(np.log(2))
    masks = [Segmentation(np.array([[v, 0]], np.uint8)) for v in (0, 1)]
    assert distance(*masks) == 0.5
    with pytest.raises(ExportError, match="cannot be compared"):
        distance(a, masks[0])
