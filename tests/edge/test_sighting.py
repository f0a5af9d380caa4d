"""What results of all tasks show, in shares of the frame."""

import math

import numpy as np
import pytest

from edge.results import Classification, Detections, Instances, Poses, Segmentation
from edge.scene.sighting import Sighting, sightings

SIZE = (200, 100)


def detections(*objects):
    boxes = np.array([box for *_, box in objects], np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array([s for _, s, _ in objects], np.float32), np.array([i for i, *_ in objects], np.int64)
    )


def unpacked(mask):
    rows, columns = mask["size"]
    inside = np.arange(len(mask["counts"])) % 2
    return np.repeat(inside, mask["counts"]).reshape(columns, rows).T.astype(bool)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_sightings_when_a_number_is_none_then_that_object_is_left_out(bad):
    result = detections((0, 0.9, [0, 0, bad, 9]), (0, bad, [0, 0, 9, 9]), (3, 0.6, [-5, 50, 300, 150]))

    (only,) = sightings(result, SIZE, threshold=0.5)

    assert only.box == (0.0, 0.5, 1.0, 1.0)
    assert sightings(Classification(np.array([1]), np.array([bad], np.float32)), SIZE, threshold=0.5) == []
    joints = np.full((1, 3, 3), 0.9, np.float32)
    joints[0, 1, 0] = bad
    assert sightings(Poses(joints), SIZE, threshold=0.5) == []


def test_sightings_when_it_is_a_segmentation_then_every_class_but_specks_with_its_share():
    mask = np.zeros((100, 200), np.uint8)
    mask[60:, :100] = 7
    mask[0, :50] = 9

    ground, area = sightings(Segmentation(mask), SIZE, threshold=0.5)

    assert (ground.label_id, ground.box, round(ground.area, 3)) == (0, None, 0.797)
    assert (area.label_id, area.area) == (7, 0.2)
    np.testing.assert_array_equal(unpacked(area.outline()), mask == 7)


def test_sightings_when_the_frame_is_large_then_its_mask_is_told_on_a_grid_of_256_cells():
    mask = np.zeros((1080, 1920), np.uint8)
    mask[540:, 480:1440] = 1

    told = sightings(Segmentation(mask), (1920, 1080), threshold=0.5)[1].outline()

    assert told["size"] == [144, 256]
    expected = np.zeros((144, 256), bool)
    expected[72:, 64:192] = True
    np.testing.assert_array_equal(unpacked(told), expected)


def test_sightings_when_objects_have_masks_then_each_has_its_own():
    found = detections((2, 0.9, [0, 0, 100, 50]), (4, 0.8, [100, 50, 200, 100]))
    result = Instances(found, found.boxes, np.ones((2, 28, 28), np.float32), 100, 200)

    first, second = sightings(result, SIZE, threshold=0.5)

    assert [(s.label_id, s.box) for s in (first, second)] == [(2, (0, 0, 0.5, 0.5)), (4, (0.5, 0.5, 1, 1))]
    assert [int(unpacked(s.outline()).sum()) for s in (first, second)] == [5000, 5000]
    assert not (unpacked(first.outline()) & unpacked(second.outline())).any()


def test_sightings_when_it_is_a_pose_then_a_person_in_the_box_of_its_joints():
    joints = np.array([[[50, 20, 1.2], [150, 20, 0.8], [100, 120, 0.7]]], np.float32)

    (person,) = sightings(Poses(joints), SIZE, threshold=0.5)

    assert person.box == (0.25, 0.2, 0.75, 1.0), "joints outside the frame are told on its edge"
    assert person.score == pytest.approx(0.9)
    assert person.keypoints[0] == (0.25, pytest.approx(0.2), 1.0)
    assert sightings(Poses(joints), SIZE, threshold=0.95) == []


@pytest.mark.parametrize(("box", "area"), [((0.0, 0.0, 1.0, 1.0), 1.0), ((0.5, 0.5, 0.25, 0.75), 0.0), (None, None)])
def test_area_when_a_box_is_given_then_it_is_its_share_of_the_frame(box, area):
    assert Sighting(0, 0.5, box).area == area
