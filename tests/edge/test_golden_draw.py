"""The golden sample's comparison, and pictures with results on them."""

import json

import bundles
import numpy as np
import pytest

from edge.bundle.bundle import read_bundle
from edge.draw import colour, draw
from edge.errors import BundleError
from edge.inference.golden import check, compare, expected
from edge.inference.stages import Stage
from edge.results import Classification, Detections, Segmentation

LABELS = ("a", "b", "c")


def found(*rows):
    return Detections(
        np.array([box for *_, box in rows], np.float32).reshape(-1, 4),
        np.array([s for _, s, _ in rows], np.float32),
        np.array([i for i, *_ in rows], np.int64),
    )


A = (0, 0.9, [10, 10, 50, 50])
B = (1, 0.8, [60, 60, 90, 90])


def golden(*rows, score=0.05, box_px=1.0):
    return expected(found(*rows), threshold=0.5, score=score, box_px=box_px)


def test_compare_when_the_same_comes_in_another_order_then_it_matches():
    report = compare(golden(A, B), found((1, 0.83, [60.5, 60, 90, 90]), (0, 0.88, [10, 10.9, 50, 50])), LABELS)

    assert report.ok
    assert report.compared == 2
    assert report.worst_score == pytest.approx(0.03, abs=1e-5)
    assert report.worst_box_px == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize(
    ("got", "problem"),
    [
        ([A], "expected b 0.800 at [60.0, 60.0, 90.0, 90.0], and nothing found is within tolerance"),
        ([A, (2, *B[1:])], "expected b"),
        ([A, (1, 0.74, B[2])], "expected b"),
        ([A, (1, 0.8, [60, 60, 90, 91.5])], "expected b"),
        ([A, B, (2, 0.6, [0, 0, 5, 5])], "found c 0.600 at [0.0, 0.0, 5.0, 5.0], which is not expected"),
        ([A, B, A], "found a 0.900"),
        ([A, (1, float("nan"), B[2])], "expected b"),
        ([A, B, (2, float("nan"), [0, 0, 5, 5])], "found c nan"),
    ],
)
def test_compare_when_something_differs_then_it_is_named(got, problem):
    report = compare(golden(A, B), found(*got), LABELS)

    assert not report.ok
    assert any(p.startswith(problem) for p in report.problems)


def test_compare_when_one_is_only_just_above_the_threshold_then_it_may_be_new():
    assert compare(golden(A), found(A, (2, 0.54, [0, 0, 5, 5])), LABELS).ok


def test_compare_when_neighbours_could_be_swapped_then_the_pairs_that_fit_are_found():
    want = golden((0, 0.9, [0, 0, 10, 10]), (0, 0.9, [2, 0, 12, 10]), box_px=2.0)

    assert compare(want, found((0, 0.9, [2, 0, 12, 10]), (0, 0.9, [4, 0, 14, 10])), LABELS).ok


def test_compare_when_classes_are_off_then_they_are_named():
    want = expected(Classification(np.array([2, 0]), np.array([0.7, 0.2], np.float32)), threshold=0.1, score=0.02)

    def scores(*values):
        order = np.argsort(-np.array(values))
        return Classification(order, np.array(values, np.float32)[order])

    assert compare(want, scores(0.21, 0.09, 0.7), LABELS).ok
    assert compare(want, scores(0.21, 0.09, 0.6), LABELS).problems == ("expected c 0.700, found 0.600",)
    assert "found b 0.300" in compare(want, scores(0.2, 0.3, 0.7), LABELS).problems[0]


def test_expected_when_written_and_read_then_it_is_json_and_matches_itself():
    result = found(A, B)

    assert (
        compare(json.loads(json.dumps(golden(A, B, score=0.0, box_px=0.001))), result, LABELS).problems
        == ("expected a 0.900 at [10.0, 10.0, 50.0, 50.0], and nothing found is within tolerance",)
        or compare(golden(A, B), result, LABELS).ok
    )


@pytest.mark.parametrize("make", [bundles.detection_bundle, bundles.classification_bundle])
def test_check_when_a_bundle_is_whole_then_it_passes_on_this_device(tmp_path, make):
    bundle = read_bundle(make(tmp_path / "b"))

    assert check(bundle, Stage(bundle)).ok


def test_check_when_the_model_is_another_then_it_does_not_pass(tmp_path):
    good = bundles.detection_bundle(tmp_path / "b")
    other = bundles.golden_files(
        bundles.squares_picture(160, 120, {"blue": (20, 30, 40)}),
        [{"label_id": 1, "score": 1.0, "box": [20.0, 30.0, 60.0, 70.0]}],
        threshold=0.5,
        score=0.3,
        box_px=2.0,
    )
    outputs = json.loads((good / "manifest.json").read_text())["outputs"]
    wrong = bundles.write_bundle(tmp_path / "w", bundles.detector(), "detection", 128, outputs, other)
    bundle = read_bundle(wrong)

    report = check(bundle, Stage(bundle))

    assert [p.split(" at ")[0] for p in report.problems] == ["expected green 1.000", "found blue 1.000"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no golden/expected.json"),
        ({"golden/expected.json": b"{}"}, "golden/expected.json: tolerance: Field required"),
        ({"golden/expected.json": b"["}, "golden/expected.json is not JSON"),
    ],
)
def test_check_when_there_is_no_usable_sample_then_the_line_says_what_is_missing(tmp_path, files, message):
    good = bundles.detection_bundle(tmp_path / "b", golden=False)
    outputs = json.loads((good / "manifest.json").read_text())["outputs"]
    bundle = read_bundle(bundles.write_bundle(tmp_path / "w", bundles.detector(), "detection", 128, outputs, files))

    with pytest.raises(BundleError, match=message):
        check(bundle, Stage(bundle))


def test_draw_when_a_box_is_found_then_its_edges_are_coloured_and_the_image_is_not_touched():
    image = np.full((240, 320, 3), 128, np.uint8)

    drawn = draw(image, found((1, 0.9, [100, 80, 200, 160])), LABELS)

    assert (image == 128).all()
    assert tuple(drawn[120, 100]) == colour(1)
    assert tuple(drawn[160, 150]) == colour(1)
    assert tuple(drawn[120, 150]) == (128, 128, 128)
    assert (drawn[62:80, 100:140] != 128).any(), "a label stands above it"


@pytest.mark.parametrize("box", [[-50, -50, 5, 5], [310, 230, 500, 500], [0, 0, 320, 240], [50, 50, 50, 50]])
def test_draw_when_a_box_lies_at_the_edge_then_it_does_not_fail(box):
    drawn = draw(np.zeros((240, 320, 3), np.uint8), found((0, 0.5, box)), LABELS)
    assert drawn.shape == (240, 320, 3)


def test_draw_when_classes_or_masks_are_found_then_they_are_shown():
    image = np.full((240, 320, 3), 128, np.uint8)
    mask = np.zeros((240, 320), np.uint8)
    mask[100:, :] = 2

    classes = draw(image, Classification(np.array([0, 2]), np.array([0.9, 0.1], np.float32)), LABELS)
    masked = draw(image, Segmentation(mask), LABELS)

    assert (classes != image).any()
    assert (masked[200, 200] == (np.array(colour(2)) // 2 + 64)).all() or abs(
        masked[200, 200].astype(int) - (np.array(colour(2)) / 2 + 64)
    ).max() <= 1
    assert (masked[90, 300] == 128).all()


def test_colour_when_labels_are_neighbours_then_they_differ():
    colours = [colour(i) for i in range(20)]
    assert len(set(colours)) == 20
