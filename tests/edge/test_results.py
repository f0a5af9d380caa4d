import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from edge.draw import draw
from edge.inference.crops import crop_around
from edge.inference.golden import compare, expected
from edge.prepare import prepare
from edge.results import Classification, Detections, Instances, Poses, Segmentation, decode, rle, to_json

LABELS = ("a", "b", "c")


def _placement(height=100, width=200, rule="stretch"):
    return prepare(np.zeros((height, width, 3), np.uint8), height=50, width=50, resize=rule)[1]


def _detected(**more):
    boxes = np.zeros((5, 4), np.float32)
    boxes[:3] = [[10, 10, 30, 30], [0, 0, 50, 50], [40, 40, 45, 45]]
    scores = np.array([0.9, 0.6, 0.3, 0, 0], np.float32)
    return {"boxes": boxes, "scores": scores, "labels": np.array([2, 0, 1, 0, 0]), "count": np.int64(3), **more}


def test_detections_when_decoded_then_are_those_above_the_threshold_in_image_pixels():
    result = decode("detection", _detected(), _placement(), threshold=0.5)
    np.testing.assert_allclose(result.boxes, [[40, 20, 120, 60], [0, 0, 200, 100]])
    assert result.labels.tolist() == [2, 0]


def test_classes_when_decoded_then_the_best_is_always_there():
    scores = np.array([0.2, 0.3, 0.1], np.float32)
    assert decode("classification", {"scores": scores}, _placement(), threshold=0.5).labels.tolist() == [1]
    assert decode("classification", {"scores": scores}, _placement(), threshold=0.0).labels.tolist() == [1, 0, 2]


def test_a_mask_when_pasted_then_covers_its_box_only_where_the_model_says():
    masks = np.zeros((5, 4, 4), np.float32)
    masks[0, :, :2] = 1  # the left half of the first box
    result = decode("instances", _detected(masks=masks), _placement(), threshold=0.5)
    inside = result.mask(0)
    ys, xs = np.nonzero(inside)
    assert inside.shape == (100, 200)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (40, 79, 20, 59)
    assert not result.mask(1).any()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 90), st.floats(0, 1, width=32), st.lists(st.floats(0, 99, width=32), min_size=4, max_size=4)
        ),
        max_size=5,
    )
)
def test_detections_when_made_of_rows_or_of_arrays_then_both_are_the_same(rows):
    of_rows = Detections.of(rows)
    of_arrays = Detections(of_rows.boxes, of_rows.scores, of_rows.labels)
    assert (of_rows.boxes.shape, of_rows.labels.shape) == ((len(rows), 4), (len(rows),))
    assert (of_rows.boxes.dtype, of_rows.scores.dtype, of_rows.labels.dtype) == (np.float32, np.float32, np.int64)
    assert of_arrays.rows == of_rows.rows == rows


def test_a_mask_when_its_box_leaves_the_image_then_is_cut_not_squeezed():
    boxes = np.array([[-10, 0, 10, 20]], np.float32)
    detections = Detections(np.array([[0, 0, 10, 20]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    masks = np.zeros((1, 2, 4), np.float32)
    masks[0, :, 3] = 1  # the right quarter: 5..10
    inside = Instances(detections, boxes, masks, 20, 40).mask(0)
    assert np.flatnonzero(inside.any(axis=0)).tolist() == [5, 6, 7, 8, 9]


def test_joints_when_decoded_then_lie_in_image_pixels_with_their_scores():
    keypoints = np.array([[25, 25, 0.9], [0, 50, 0.1]], np.float32)
    result = decode("pose", {"keypoints": keypoints}, _placement(), threshold=0.5)
    np.testing.assert_allclose(result.keypoints, [[[100, 50, 0.9], [0, 100, 0.1]]])
    entry = to_json(result, ("nose", "eye"))[0]
    assert entry["keypoints"] == [[100.0, 50.0, 0.9], [0.0, 100.0, 0.1]]
    assert entry["box"] == [0.0, 50.0, 100.0, 100.0]


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_rle_when_any_mask_is_encoded_then_coco_reads_the_same_mask(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    decoded = coco.decode(coco.frPyObjects(rle(mask), height, width))
    np.testing.assert_array_equal(decoded, mask)


RESULTS = [
    Classification(np.array([1, 0]), np.array([0.7, 0.2], np.float32)),
    Detections(np.array([[1, 2, 30, 40]], np.float32), np.array([0.8], np.float32), np.array([1])),
    Segmentation(np.repeat(np.array([[0, 1, 1, 2]], np.uint8), 60, 0).repeat(20, 1)),
    Instances(
        Detections(np.array([[1, 2, 30, 40]], np.float32), np.array([0.8], np.float32), np.array([1])),
        np.array([[1, 2, 30, 40]], np.float32), np.ones((1, 7, 7), np.float32), 60, 80,
    ),
    Poses(np.dstack([np.linspace(5, 50, 17), np.linspace(5, 50, 17), np.full(17, 0.9)]).astype(np.float32)),
]  # fmt: skip


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_any_result_when_told_as_json_and_drawn_then_both_work(result):
    labels = [str(i) for i in range(17)]
    found = json.loads(json.dumps(to_json(result, labels), allow_nan=False))
    assert found
    assert {"label", "label_id", "score"} <= found[0].keys()
    image = np.zeros((60, 80, 3), np.uint8)
    drawn = draw(image, result, labels)
    assert drawn.shape == image.shape
    assert drawn.any()
    assert not image.any()


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_any_result_when_it_is_the_golden_one_then_only_itself_passes(result):
    want = expected(result, threshold=0.5, score=0.01, box_px=0.5)
    labels = [str(i) for i in range(17)]
    assert compare(want, result, labels).ok
    other = {
        Classification: Classification(np.array([0, 1]), np.array([0.7, 0.2], np.float32)),
        Detections: Detections(np.array([[9, 2, 30, 40]], np.float32), np.array([0.8], np.float32), np.array([1])),
        Segmentation: Segmentation(np.zeros((60, 80), np.uint8)),
        Instances: Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)),
        Poses: Poses(np.full((1, 17, 3), 0.9, np.float32)),
    }[type(result)]
    assert not compare(want, other, labels).ok


@pytest.mark.parametrize(
    "make",
    [
        lambda: Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64)),
        lambda: Poses(np.zeros((17, 3), np.float32)),
        lambda: Instances(RESULTS[1], np.zeros((2, 4), np.float32), np.zeros((1, 7, 7), np.float32), 9, 9),
    ],
)
def test_arrays_that_do_not_fit_together_when_made_a_result_then_say_the_shapes(make):
    with pytest.raises(ValueError, match="expected"):
        make()


def test_a_task_nobody_knows_when_decoded_then_is_named():
    with pytest.raises(ValueError, match="'telepathy'"):
        decode("telepathy", {}, _placement(), threshold=0.5)


# A picture with an object in it, through the preparation and back: what a perfect model sees is where it was.

sides = st.integers(48, 240)
rules = st.sampled_from(["stretch", "letterbox", "crop"])


@st.composite
def scenes(draw_):
    """A picture's size, a box in its middle half (which no rule crops), the rule, and the placement in 128 x 96."""
    w, h, rule = draw_(sides), draw_(sides), draw_(rules)
    x1, y1 = draw_(st.integers(w * 3 // 8, w // 2 - 4)), draw_(st.integers(h * 3 // 8, h // 2 - 4))
    x2, y2 = draw_(st.integers(w // 2 + 4, w * 5 // 8)), draw_(st.integers(h // 2 + 4, h * 5 // 8))
    image = np.zeros((h, w, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    tensor, placement = prepare(image, height=96, width=128, resize=rule, interpolation="area")
    return image, np.array([x1, y1, x2, y2], np.float32), tensor, placement


def seen(box, placement):
    """Whether all of the box is in the model's view, and large enough there to be found."""
    x1, y1, x2, y2 = placement.points_to_input(box.reshape(2, 2)).reshape(4)
    return min(x1, y1) >= 0 and x2 <= 128 and y2 <= 96 and min(x2 - x1, y2 - y1) >= 2


def overlap(one, two):
    return (one & two).sum() / max((one | two).sum(), 1)


@settings(deadline=None, max_examples=80)
@given(scenes())
def test_objects_and_joints_when_seen_rightly_then_lie_where_they_are_in_the_image(scene):
    image, box, _, placement = scene
    assume(seen(box, placement))
    there = placement.points_to_input(box.reshape(2, 2)).reshape(1, 4)
    outputs = {
        "boxes": there,
        "scores": np.ones(1, np.float32),
        "labels": np.array([1]),
        "count": np.int64(1),
        "masks": np.ones((1, 7, 7), np.float32),
    }
    found = to_json(decode("instances", outputs, placement, threshold=0.5), LABELS)[0]
    np.testing.assert_allclose(found["box"], box, atol=0.06)
    mask = coco.decode(coco.frPyObjects(found["mask"], *image.shape[:2])).astype(bool)
    np.testing.assert_array_equal(mask, image[..., 0] > 0)
    plain = decode("detection", outputs, placement, threshold=0.5)
    np.testing.assert_allclose(plain.boxes[0], box, atol=0.06)
    joints = np.column_stack([there.reshape(2, 2), [0.9, 0.8]]).astype(np.float32)
    pose = to_json(decode("pose", {"keypoints": joints}, placement, threshold=0.5), LABELS)[0]
    np.testing.assert_allclose(np.array(pose["keypoints"])[:, :2].reshape(4), box, atol=0.06)


@settings(deadline=None, max_examples=80)
@given(scenes())
def test_a_class_map_when_seen_rightly_then_covers_what_it_is_of(scene):
    image, box, tensor, placement = scene
    assume(seen(box, placement))
    result = decode("segmentation", {"mask": (tensor[..., 0] > 127).astype(np.uint8)}, placement, threshold=0.5)
    entries = to_json(result, LABELS)
    found = next(e for e in entries if e["label_id"] == 1)
    mask = coco.decode(coco.frPyObjects(found["mask"], *image.shape[:2])).astype(bool)
    # A pixel of the input is this large in the image, and the border may be off by one.
    grain = 1 / min(placement.scale_x, placement.scale_y)
    x1, y1, x2, y2 = box
    inner = max(0.0, (x2 - x1 - 2 * grain)) * max(0.0, (y2 - y1 - 2 * grain)) / ((x2 - x1) * (y2 - y1))
    assert overlap(mask, image[..., 0] > 0) >= min(inner, 0.9)
    whole = [coco.decode(coco.frPyObjects(e["mask"], *image.shape[:2])) for e in entries]
    np.testing.assert_array_equal(sum(whole), np.ones(image.shape[:2]))


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-20, 200), st.floats(-20, 150), st.floats(1, 150), st.floats(1, 150), st.sampled_from([0.75, 1.0, 2.0])
)
def test_a_crop_when_it_is_put_back_then_is_the_image_there_and_black_outside(x, y, w, h, aspect):
    image = np.random.default_rng(1).integers(1, 255, (120, 160, 3)).astype(np.uint8)
    part, left, top = crop_around(image, (x, y, x + w, y + h), aspect=aspect)
    canvas = np.zeros((1200, 1600, 3), np.uint8)
    canvas[500:620, 600:760] = image
    np.testing.assert_array_equal(part, canvas[500 + top :, 600 + left :][: part.shape[0], : part.shape[1]])
    assert part.shape[1] / part.shape[0] == pytest.approx(aspect, abs=aspect * 3 / min(part.shape[:2]))
