import math
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.prepare import prepare

sides = st.integers(1, 300)
rules = st.sampled_from(["stretch", "letterbox", "crop"])


@settings(deadline=None, max_examples=150)
@given(sides, sides, st.integers(8, 128), st.integers(8, 128), rules)
def test_points_when_taken_to_the_input_and_back_then_are_where_they_were(w, h, in_w, in_h, rule):
    tensor, placement = prepare(np.zeros((h, w, 3), np.uint8), height=in_h, width=in_w, resize=rule)
    assert tensor.shape == (in_h, in_w, 3)
    assert tensor.flags.c_contiguous
    points = np.array([[0, 0], [w, h], [w / 3, h / 2]], np.float32)
    back = placement.points_to_image(placement.points_to_input(points))
    np.testing.assert_allclose(back, points, atol=1e-2 * max(1, w / in_w, h / in_h))


@settings(deadline=None, max_examples=100)
@given(st.integers(40, 300), st.integers(40, 300), st.data(), rules)
def test_a_box_drawn_on_the_image_when_mapped_back_from_the_tensor_then_overlaps_it(w, h, data, rule):
    x1, y1 = data.draw(st.integers(w // 4, w // 2 - 8)), data.draw(st.integers(h // 4, h // 2 - 8))
    x2, y2 = data.draw(st.integers(x1 + 8, w * 3 // 4)), data.draw(st.integers(y1 + 8, h * 3 // 4))
    image = np.zeros((h, w, 3), np.uint8)
    image[y1:y2, x1:x2] = (255, 255, 255)
    tensor, placement = prepare(image, height=256, width=256, resize=rule, interpolation="area")
    ys, xs = np.nonzero(tensor[..., 0] > 127)
    if len(xs) == 0:  # cropped away
        assert rule == "crop"
        return
    seen = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
    box = placement.box_to_image(seen[0].tolist())
    visible = placement.box_to_image((0, 0, 256, 256))
    want = np.clip([x1, y1, x2, y2], [*visible[:2]] * 2, [*visible[2:]] * 2)
    np.testing.assert_allclose(box, want, atol=2.0 + 2 * max(1 / placement.scale_x, 1 / placement.scale_y))


def test_a_box_beyond_the_image_when_mapped_back_then_is_clipped_to_it():
    _, placement = prepare(np.zeros((100, 200, 3), np.uint8), height=64, width=64, resize="letterbox")
    assert placement.box_to_image((-50, -50, 500, 500)) == (0, 0, 200, 100)


def test_a_box_that_is_not_a_number_when_mapped_back_then_is_still_none():
    _, placement = prepare(np.zeros((100, 200, 3), np.uint8), height=64, width=64)
    assert [math.isnan(v) for v in placement.box_to_image((math.nan, 1.0, math.nan, 2.0))] == [True, False, True, False]


def test_colours_when_prepared_then_are_rgb():
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[..., 0] = 255
    tensor, _ = prepare(blue, height=10, width=10)
    assert tensor[0, 0].tolist() == [0, 0, 255]


def test_letterbox_when_the_image_is_wide_then_bars_are_above_and_below():
    tensor, placement = prepare(np.full((50, 100, 3), 255, np.uint8), height=100, width=100, resize="letterbox")
    assert (tensor[:25] == 114).all()
    assert (tensor[25:75] == 255).all()
    assert (tensor[75:] == 114).all()
    assert (placement.offset_x, placement.offset_y) == (0, 25)


def test_crop_when_classifying_then_equals_resize_short_and_centre_crop():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    tensor, _ = prepare(image, height=224, width=224, resize="crop")
    small = cv2.resize(image, (256 * 400 // 300, 256))
    left, top = (small.shape[1] - 224) // 2, (256 - 224) // 2
    np.testing.assert_array_equal(tensor, small[top : top + 224, left : left + 224, ::-1])


def test_mask_when_mapped_back_then_lands_on_the_object():
    image = np.zeros((120, 160, 3), np.uint8)
    image[30:90, 40:120] = 255
    for rule in ("stretch", "letterbox"):
        tensor, placement = prepare(image, height=96, width=96, resize=rule)
        mask = placement.mask_to_image((tensor[..., 0] > 127).astype(np.uint8))
        want = (image[..., 0] > 127).astype(np.uint8)
        assert mask.shape == want.shape
        union = np.logical_or(mask, want).sum()
        assert np.logical_and(mask, want).sum() / union > 0.93, rule


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_when_prepared_then_raises_with_both_shapes(bad):
    with pytest.raises(ValueError, match=r"expected a uint8 image \[H, W, 3\], got"):
        prepare(bad, height=8, width=8)


def test_prepare_when_threads_prepare_side_by_side_then_none_writes_into_anothers_tensor():
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (90, 160, 3), np.uint8) for _ in range(8)]
    settings = {"height": 48, "width": 64, "resize": "letterbox"}
    want = [prepare(p, **settings)[0].copy() for p in pictures]
    kept = [prepare(p, **settings)[0] for p in pictures]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: prepare(pictures[i % 8], **settings)[0], range(400)))

    for i, tensor in enumerate(got):
        np.testing.assert_array_equal(tensor, want[i % 8])
    for tensor, same in zip(kept, want, strict=True):
        np.testing.assert_array_equal(tensor, same)


@pytest.mark.parametrize("rule", ["stretch", "letterbox", "crop"])
def test_prepare_when_the_image_has_the_models_size_then_it_is_left_as_it_was(rule):
    image = np.random.default_rng(4).integers(0, 256, (32, 32, 3), np.uint8)
    before = image.copy()
    tensor, _ = prepare(image, height=32, width=32, resize=rule, crop_ratio=1.0)

    np.testing.assert_array_equal(tensor, before[..., ::-1])
    np.testing.assert_array_equal(image, before)
