"""Metrics against values computed by hand, and against pycocotools' own summary."""

import contextlib
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coding
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edge.results import Classification, Detections, Instances, Poses, Result, Segmentation
from export.bootstrap import draw, interval
from export.coco_metrics import CocoBoxes, CocoInstances, CocoJoints
from export.metrics import MeanIou, Measured, Tally, TopK
from export.truth import Boxes, Joints, Outlines, Persons, Truth, truth_of
from export.voc_metrics import VocBoxes

RNG = np.random.default_rng(3)


def measured(tally: Tally, *results: Result) -> Measured:
    for picture, result in enumerate(results):
        tally.add(picture, result)
    return tally.measured()


def found(*rows: tuple[float, ...]) -> Detections:
    """Rows of x1, y1, x2, y2, score and, where it is not 0, the class."""
    values = np.array([(*row, 0)[:6] for row in rows], np.float32).reshape(-1, 6)
    order = np.argsort(-values[:, 4], kind="stable")
    return Detections(values[order, :4], values[order, 4], values[order, 5].astype(np.int64))


def truth(*rows: tuple[float, ...], ignored: tuple[bool, ...] = (), labels: tuple[int, ...] = ()) -> Truth:
    n = len(rows)
    areas = [(r[2] - r[0]) * (r[3] - r[1]) for r in rows]
    return truth_of(rows, labels or [0] * n, ignored or [False] * n, areas)


def boxes(*truths: Truth, classes: tuple[int, ...] = (0,), rule: str = "voc") -> Boxes:
    return Boxes(tuple(Path(str(n)) for n in range(len(truths))), truths, classes, rule)


A, B = (0, 0, 10, 10), (20, 0, 30, 10)


def test_top_k_of_known_results() -> None:
    results = [
        Classification(np.array(labels), np.ones(len(labels), np.float32)) for labels in ([1, 2, 3], [4, 1], [0])
    ]
    assert measured(TopK([1, 1, 1]), *results).values == {"top1": pytest.approx(1 / 3), "top5": pytest.approx(2 / 3)}


def test_voc_average_precision_of_a_known_curve() -> None:
    """Right, wrong, right over two objects: precision 1 to recall 0.5, then 2/3."""
    data = boxes(truth((0, 0, 10, 10), (20, 20, 30, 30)))
    values = measured(VocBoxes(data), found((*A, 0.9), (50, 50, 60, 60, 0.8), (20, 20, 30, 30, 0.7))).values
    assert values["voc_ap"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert values["voc07_ap"] == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_voc_average_precision_counts_a_second_find_of_an_object_as_wrong() -> None:
    twice = found((*A, 0.9), (*A, 0.8), (*B, 0.7))
    assert measured(VocBoxes(boxes(truth(A, B))), twice).values["voc_ap"] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_average_precision_leaves_difficult_and_crowded_objects_out() -> None:
    data = boxes(truth(A, B, ignored=(False, True)))
    for result in (found((*A, 0.9)), found((*A, 0.9), (*B, 0.95))):
        assert measured(VocBoxes(data), result).values["voc_ap"] == pytest.approx(1)
        assert measured(CocoBoxes(data), result).values["ap50"] == pytest.approx(1)


def test_average_precision_when_nothing_is_found_or_there_is_zero() -> None:
    data, nothing = boxes(truth(A)), boxes(truth())
    for one, result in ((data, found()), (nothing, found((0, 0, 1, 1, 1)))):
        got = measured(CocoBoxes(one), result)
        assert got.values == got.weighted(np.ones(1)) == {"ap": 0, "ap50": 0}
        got = measured(VocBoxes(one), result)
        assert got.values == got.weighted(np.ones(1)) == {"voc_ap": 0, "voc07_ap": 0}


def test_coco_average_precision_of_a_known_overlap() -> None:
    """One object, one find that overlaps by 0.8: right at 0.50 to 0.80, wrong at 0.85, 0.90 and 0.95."""
    values = measured(CocoBoxes(boxes(truth(A))), found((0, 0, 10, 8, 0.9))).values
    assert values == {"ap": pytest.approx(0.7), "ap50": pytest.approx(1)}


@given(st.lists(st.tuples(st.booleans(), st.floats(0.125, 1, width=32)), min_size=1, max_size=12), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_average_precisions_of_coco_and_voc_agree_on_the_area(finds: list[tuple[bool, float]], objects: int) -> None:
    """COCO samples the same curve at 101 points, so that its AP at 0.5 is near the area."""
    there = truth(*((20 * n, 0, 20 * n + 10, 10) for n in range(objects)))
    rows, used = [], 0
    for n, (right, score) in enumerate(sorted(finds, key=lambda f: -f[1])):
        place = used if right and used < objects else 100 + n
        used += place < 100
        rows.append((20 * place, 0, 20 * place + 10, 10, score - n * 1e-3))
    area = measured(VocBoxes(boxes(there)), found(*rows)).values["voc_ap"]
    assert measured(CocoBoxes(boxes(there)), found(*rows)).values["ap50"] == pytest.approx(area, abs=0.02)


def drawn_scene(pictures: int = 12, classes: int = 3) -> tuple[Outlines, list[Instances]]:
    """Objects at random, and finds near most of them, missing some and inventing others."""
    truths, results, size = [], [], 96
    for _ in range(pictures):
        n = int(RNG.integers(0, 5))
        corner = RNG.uniform(0, 60, (n, 2))
        rows = np.concatenate([corner, corner + RNG.uniform(8, 36, (n, 2))], axis=1).astype(np.float32)
        labels = RNG.integers(0, classes, n)
        outlines = []
        for x1, y1, x2, y2 in rows.tolist():
            outlines.append(coding.frPyObjects([[x1, y1, x2, y1, x2, y2, x1, y2]], size, size)[0])
        areas = [float(coding.area(o)) for o in outlines]
        truths.append(truth_of(rows, labels.tolist(), (RNG.random(n) < 0.1).tolist(), areas, outlines))
        kept = RNG.random(n) < 0.8
        near = rows[kept] + RNG.normal(0, 2, (int(kept.sum()), 4)).astype(np.float32)
        wild = RNG.uniform(0, 40, (2, 2)).astype(np.float32)
        every = np.clip(np.concatenate([near, np.concatenate([wild, wild + 20], axis=1)]), 0, size)
        scores = RNG.uniform(0.1, 1, len(every)).astype(np.float32)
        order = np.argsort(-scores)
        detections = Detections(every[order], scores[order], np.append(labels[kept], [0, 1])[order])
        masks = np.ones((len(every), 14, 14), np.float32)
        results.append(Instances(detections, detections.boxes, masks, size, size))
    paths = tuple(Path(str(n)) for n in range(pictures))
    return Outlines(paths, tuple(truths), tuple(range(classes))), results


def reference(data: Outlines, results: list[Instances], kind: str) -> tuple[float, float]:
    """The first two numbers of pycocotools' own summary, fed by hand."""
    images = [{"id": i, "height": 96, "width": 96} for i in range(len(results))]
    annotations, rows = [], []
    for i, (t, r) in enumerate(zip(data.truths, results, strict=True)):
        for k, (x1, y1, x2, y2) in enumerate(t.boxes.tolist()):
            own = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(t.areas[k]), "segmentation": t.outlines[k]}
            crowd = {"iscrowd": int(t.ignored[k]), "category_id": int(t.labels[k])}
            annotations.append({"id": len(annotations) + 1, "image_id": i, **own, **crowd})
        for k, (x1, y1, x2, y2) in enumerate(r.detections.boxes.tolist()):
            row = {"image_id": i, "category_id": int(r.detections.labels[k]), "score": float(r.detections.scores[k])}
            outline = coding.encode(np.asfortranarray(r.mask(k).astype(np.uint8)))
            rows.append(row | ({"bbox": [x1, y1, x2 - x1, y2 - y1]} if kind == "bbox" else {"segmentation": outline}))
    coco = COCO()
    categories = [{"id": c} for c in data.classes]
    coco.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(rows), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0]), float(run.stats[1])


def test_boxes_and_outlines_of_a_drawn_scene_are_as_pycocotools_sums_them_up() -> None:
    data, results = drawn_scene()
    got = measured(CocoInstances(data), *results)
    for kind, names in (("bbox", ("ap", "ap50")), ("segm", ("mask_ap", "mask_ap50"))):
        want = reference(data, results, kind)
        assert 0.05 < want[0] < want[1] < 1
        assert tuple(got.values[name] for name in names) == pytest.approx(want, abs=1e-9)
    assert got.weighted(np.ones(len(results))) == pytest.approx(got.values, abs=1e-9)


def test_pictures_that_count_twice_weigh_as_if_they_were_there_twice() -> None:
    data, results = drawn_scene()
    counts = RNG.integers(0, 3, len(results)).astype(np.float64)
    twice = np.repeat(np.arange(len(results)), counts.astype(int))
    again = Outlines(data.paths, tuple(data.truths[i] for i in twice), data.classes)
    flat = Boxes(data.paths, again.truths, data.classes, "voc")
    want = measured(CocoInstances(again), *(results[i] for i in twice)).values
    assert measured(CocoInstances(data), *results).weighted(counts) == pytest.approx(want, abs=1e-9)
    want = measured(VocBoxes(flat), *(results[i].detections for i in twice)).values
    voc = VocBoxes(Boxes(data.paths, data.truths, data.classes, "voc"))
    got = measured(voc, *(r.detections for r in results)).weighted(counts)
    # Finds of one score are in another order when a picture is there twice.
    assert got == pytest.approx(want, abs=0.02)


def test_outlines_when_the_model_is_right_are_one_and_when_shifted_less() -> None:
    data, _ = drawn_scene()

    def answer(t: Truth, shift: float) -> Instances:
        moved = np.clip(t.boxes + np.float32(shift), 0, 96)
        detections = Detections(moved, np.ones(len(moved), np.float32), t.labels)
        return Instances(detections, moved, np.ones((len(moved), 28, 28), np.float32), 96, 96)

    right = measured(CocoInstances(data), *(answer(t, 0) for t in data.truths)).values
    assert right["ap"] == pytest.approx(1)
    assert right["mask_ap"] > 0.9, "an outline of whole pixels is not quite the polygon"
    off = measured(CocoInstances(data), *(answer(t, 3) for t in data.truths)).values
    assert off["mask_ap"] < right["mask_ap"]


def person(x: float, y: float, *, seen: int = 17) -> np.ndarray:
    joints = np.column_stack([x + RNG.uniform(0, 40, 17), y + RNG.uniform(0, 90, 17), np.full(17, 2.0)])
    joints[seen:] = 0
    return joints.astype(np.float32)


def test_joints_when_exact_are_one_and_by_hand_when_moved() -> None:
    joints = np.stack([person(10, 10), person(100, 20, seen=5)])
    rows = np.array([[10, 10, 50, 100], [100, 20, 140, 110]], np.float32)
    areas = np.full(2, 3600, np.float32)
    data = Joints((Path("a"),), (Persons(rows, joints, np.zeros(2, np.bool_), areas),))
    answer = joints.copy()
    answer[:, :, 2] = 0.9
    assert measured(CocoJoints(data), Poses(answer)).values == pytest.approx({"oks_ap": 1, "oks_ap50": 1})
    # Joint i moved by d: exp(-d^2 / (2 (2 sigma_i)^2 area)), averaged: cocodataset.org/#keypoints-eval.
    sigmas = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
    alone = Joints((Path("a"),), (Persons(rows[:1], joints[:1], np.zeros(1, np.bool_), areas[:1]),))
    moved = answer[:1] + np.array([6, 0, 0], np.float32)
    similarity = np.exp(-36 / (2 * (2 * sigmas) ** 2 * 3600)).mean()
    passed = np.mean(similarity >= np.linspace(0.5, 0.95, 10))
    assert 0 < passed < 1
    assert measured(CocoJoints(alone), Poses(moved)).values["oks_ap"] == pytest.approx(passed)


def test_poses_are_ranked_by_the_joints_that_the_net_is_sure_of() -> None:
    """A person half hidden, all right where it is seen, comes before one that is wrong in every joint, as in GluonCV."""
    joints = np.stack([person(10, 10, seen=5), person(300, 300)])
    rows = np.array([[10, 10, 50, 100], [300, 300, 340, 400]], np.float32)
    told = Persons(rows[:1], joints[:1], np.zeros(1, np.bool_), np.full(1, 3600, np.float32))
    data = Joints((Path("a"),), (told,))
    answer = joints.copy()
    answer[0, :, 2] = [0.9] * 5 + [0.1] * 12  # 0.34 on average over all
    answer[1, :, 2] = 0.5
    assert measured(CocoJoints(data), Poses(answer)).values["oks_ap"] == pytest.approx(1)
    answer[0, :, 2] = 0.19  # of none it is sure: last
    assert measured(CocoJoints(data), Poses(answer)).values["oks_ap"] < 0.6


def test_mean_iou_of_a_known_confusion(tmp_path: Path) -> None:
    result, mask = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    cv2.imwrite(str(tmp_path / "b.png"), result)
    got = measured(MeanIou([tmp_path / "a.png"], 5), Segmentation(result)).values
    assert got == {"miou": pytest.approx(0.5), "pixel_accuracy": pytest.approx(2 / 3)}
    both = measured(MeanIou([tmp_path / "a.png", tmp_path / "b.png"], 5), Segmentation(result), Segmentation(result))
    assert both.weighted(np.array([0.0, 1.0])) == {"miou": 1, "pixel_accuracy": 1}


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """100 experiments of 200 pictures with a true top-1 of 0.7: about 95 of the intervals hold it."""
    held = 0
    for _ in range(100):
        right = RNG.random(200) < 0.7
        results = [Classification(np.array([int(r)]), np.ones(1, np.float32)) for r in right]
        low, high = interval(draw(measured(TopK([1] * 200), *results), 200)["top1"])
        held += low <= 0.7 <= high
    assert 87 <= held <= 100


def test_draws_of_two_models_are_of_the_same_pictures() -> None:
    hits = RNG.random(50) < 0.5
    results = [Classification(np.array([int(r)]), np.ones(1, np.float32)) for r in hits]
    one, two = (draw(measured(TopK([1] * 50), *results), 50)["top1"] for _ in range(2))
    assert (one == two).all()
    assert one.std() > 0
