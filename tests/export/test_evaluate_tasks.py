"""Evaluation of outlines and joints, on other layouts of data, and against MXNet itself."""

import contextlib
import io
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from models import (
    COLOURS,
    SIDE,
    bundle_of,
    colour_net,
    colour_pictures,
    joint_net,
    joint_red,
    shade_net,
    square_coco,
    square_net,
)

from edge.bundle.bundle import Bundle, read_bundle
from edge.errors import BundleError
from edge.inference.stages import Stage
from edge.results import rle, to_json
from export.cli import main
from export.errors import ExportError
from export.evaluate import evaluate
from export.original import device_outputs
from export.pack import drawn_image

JOINTS = tuple(f"joint {j}" for j in range(17))
EVERY_THIRD = slice(None, None, 3)


@pytest.fixture
def poser() -> Bundle:
    return bundle_of(joint_net(), "pose", JOINTS)


def _outlined(folder: Path) -> str:
    """The pictures of squares with outlines: polygons, and run lengths for every second."""
    spec = square_coco(folder)
    document = json.loads((folder / "val.json").read_text())
    for entry in document["annotations"]:
        x, y, w, h = entry["bbox"]
        outline: object = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        if entry["id"] % 2:
            mask = np.zeros((SIDE, SIDE), bool)
            mask[y : y + h, x : x + w] = True
            outline = rle(mask)
        entry["segmentation"] = outline
    (folder / "val.json").write_text(json.dumps(document))
    return spec


def test_evaluate_instances_on_coco_gives_ap_of_outlines_and_boxes(tmp_path: Path) -> None:
    bundle = bundle_of(square_net("instances"), "instances", ("red", "green"))
    metrics = evaluate(bundle, _outlined(tmp_path)).metrics
    assert metrics == pytest.approx({"mask_ap": 1, "mask_ap50": 1, "ap": 1, "ap50": 1}, abs=1e-3)


@pytest.mark.parametrize(
    ("outline", "said"),
    [
        ([[1, 2, 3]], "a polygon is not x, y of three points"),
        ([], "a polygon is not x, y of three points"),
        ([[float("nan")] * 6], "a polygon is not x, y of three points"),
        ({"size": [4, 4], "counts": [16]}, "a mask of"),
        ({"size": [SIDE, SIDE], "counts": [5, 5]}, "the runs of a mask do not cover its image"),
        (7, "not COCO annotations of outlines"),
    ],
)
def test_outlines_when_damaged_are_an_error_that_names_the_file(tmp_path: Path, outline: object, said: str) -> None:
    bundle = bundle_of(square_net("instances"), "instances", ("red", "green"))
    spec = _outlined(tmp_path)
    document = json.loads((tmp_path / "val.json").read_text())
    document["annotations"][0]["segmentation"] = outline
    (tmp_path / "val.json").write_text(json.dumps(document))
    with pytest.raises(ExportError, match=f"val.json.*{said}"):
        evaluate(bundle, spec)


def _posed(folder: Path, *, wrong: int = 0, names: tuple[str, ...] = JOINTS) -> str:
    """Two persons a picture, every joint a pixel of its own red; the first `wrong` persons' truth lies elsewhere."""
    rng = np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    annotations = []
    for n in range(3):
        image = np.zeros((64, 128, 3), np.uint8)
        for left in (0, 70):
            # The crop around a box is a quarter larger than it: 26 pixels give the net's 32 to within rounding.
            x1, y1, side = left + 16, 20, 25.6
            places = rng.permutation(18 * 18)[:17]
            columns, rows = x1 + 4 + places % 18, y1 + 4 + places // 18
            for j, (x, y) in enumerate(zip(columns, rows, strict=True)):
                image[y, x, 2] = joint_red(j)
            shift = 25 if len(annotations) < wrong else 0
            keypoints = [v for x, y in zip(columns, rows, strict=True) for v in (int(x) + 0.5 + shift, int(y) + 0.5, 2)]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": n,
                    "category_id": 1,
                    "bbox": [x1, y1, side, side],
                    "area": side * side,
                    "iscrowd": 0,
                    "num_keypoints": 17,
                    "keypoints": keypoints,
                }
            )
        cv2.imwrite(str(folder / "images" / f"{n}.png"), image)
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 128, "height": 64} for n in range(3)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(names)}],
        "annotations": annotations,
    }
    (folder / "val.json").write_text(json.dumps(document))
    return f"coco:{folder / 'val.json'}:{folder / 'images'}"


def test_evaluate_poses_on_coco_looks_at_each_person_and_maps_the_joints_back(tmp_path: Path, poser: Bundle) -> None:
    found = evaluate(poser, _posed(tmp_path / "right"))
    assert found.metrics == pytest.approx({"oks_ap": 1, "oks_ap50": 1}, abs=1e-3)
    assert 0 < evaluate(poser, _posed(tmp_path / "wrong", wrong=3)).metrics["oks_ap"] < 0.8


def test_evaluate_poses_when_a_picture_shows_nobody_goes_on(tmp_path: Path, poser: Bundle) -> None:
    spec = _posed(tmp_path)
    document = json.loads((tmp_path / "val.json").read_text())
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] != 1]
    (tmp_path / "val.json").write_text(json.dumps(document))
    found = evaluate(poser, spec)
    assert found.images == 3
    assert found.metrics["oks_ap"] == pytest.approx(1, abs=1e-3)


def test_evaluate_poses_when_the_data_orders_joints_otherwise_goes_by_their_names(tmp_path: Path) -> None:
    shuffled = tuple(JOINTS[j] for j in np.random.default_rng(1).permutation(17))
    spec = _posed(tmp_path, names=JOINTS)
    assert evaluate(bundle_of(joint_net(), "pose", shuffled), spec).metrics["oks_ap"] < 0.5
    with pytest.raises(ExportError, match=r"its joints .* are not those of the bundle"):
        evaluate(bundle_of(joint_net(), "pose", ("nose", *JOINTS[1:])), spec)


def test_evaluate_poses_with_a_detector_looks_where_it_finds_persons(tmp_path: Path, poser: Bundle) -> None:
    blind = bundle_of(square_net(), "detection", ("person", "green"))
    assert evaluate(poser, _posed(tmp_path), detector=blind).metrics["oks_ap"] < 0.2
    with pytest.raises(BundleError, match="finds no persons"):
        evaluate(poser, f"coco:{tmp_path / 'val.json'}:{tmp_path / 'images'}", detector=poser)
    with pytest.raises(ExportError, match="a detector finds the persons that a pose net looks at"):
        evaluate(blind, square_coco(tmp_path / "squares", names=("person", "green")), detector=blind)


def test_image_folder_when_named_by_all_synsets_goes_by_their_order(tmp_path: Path) -> None:
    colour_pictures(tmp_path)
    for name, synset in zip(COLOURS, ("n00000010", "n00000020", "n00000030"), strict=True):
        (tmp_path / name).rename(tmp_path / synset)
    bundle = bundle_of(colour_net(), "classification", COLOURS)
    assert evaluate(bundle, f"imagefolder:{tmp_path}").metrics["top1"] == 1


def test_voc_holds_masks_for_segmentation(tmp_path: Path) -> None:
    bundle = bundle_of(shade_net(), "segmentation", ("none", "red", "green", "blue"))
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for n in range(3):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        image[:, SIDE // 2 :, 2] = 255
        cv2.imwrite(str(tmp_path / "JPEGImages" / f"{n}.jpg"), image)
        cv2.imwrite(str(tmp_path / "SegmentationClass" / f"{n}.png"), (image[..., 2] > 0).astype(np.uint8))
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("0\n2\n")
    found = evaluate(bundle, f"voc:{tmp_path}")
    assert found.images == 2
    assert found.metrics["miou"] > 0.9


def test_evaluate_against_mxnet_runs_the_net_that_was_converted(tmp_path: Path, street: Path) -> None:
    """Truth is what the bundle finds itself, so that neither side is at 0."""
    if find_spec("mxnet") is None:
        pytest.skip("MXNet has wheels for x86-64 Linux only")
    (tmp_path / "images").mkdir()
    bundle = read_bundle(street)
    stage = Stage(bundle, threshold=0.02)
    annotations, size = [], {"height": 360, "width": 480}
    for n in range(2):
        image = np.ascontiguousarray(drawn_image(bundle.manifest.input)[:, :: 1 - 2 * n])
        size = {"height": image.shape[0], "width": image.shape[1]}
        cv2.imwrite(str(tmp_path / "images" / f"{n}.png"), image)
        for found in to_json(stage(image)[0], bundle.labels)[EVERY_THIRD]:
            x1, y1, x2, y2 = found["box"]
            own = {"image_id": n, "category_id": found["label_id"], "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotations.append({"id": len(annotations), **own})
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", **size} for n in range(2)],
        "categories": [{"id": i, "name": label} for i, label in enumerate(bundle.labels)],
        "annotations": annotations,
    }
    (tmp_path / "val.json").write_text(json.dumps(document))
    out = main_json(
        "evaluate", street, "--data", f"coco:{tmp_path / 'val.json'}:{tmp_path / 'images'}", "--against", "mxnet"
    )
    assert 0.1 < out["metrics"]["ap"] < 1
    assert out["against"]["metrics"] == pytest.approx(out["metrics"], abs=2e-3)
    assert out["difference"]["ap"]["value"] == pytest.approx(0, abs=2e-3)


def main_json(*arguments: object) -> dict:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(out.getvalue())


def test_evaluate_against_mxnet_when_it_cannot_says_why(
    tmp_path: Path, street: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = f"imagefolder:{tmp_path}"
    alone = shutil.copytree(street, tmp_path / "alone", ignore=shutil.ignore_patterns("source"))
    assert main(["evaluate", str(alone), "--data", data, "--against", "mxnet"]) == 1
    assert "has no MXNet source beside it" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "mxnet", None)
    assert main(["evaluate", str(street), "--data", data, "--against", "mxnet"]) == 1
    assert "MXNet is not installed" in capsys.readouterr().err


def test_joints_of_a_heatmap_lie_a_quarter_of_a_cell_towards_the_higher_neighbour() -> None:
    heat = np.zeros((1, 3, 8, 6), np.float32)
    heat[0, 0, 4, 3], heat[0, 0, 4, 2], heat[0, 0, 5, 3] = 0.9, 0.2, 0.3  # left of it is higher, and below
    heat[0, 1, 0, 3], heat[0, 1, 0, 4] = 0.5, 0.4  # at the border: not moved
    heat[0, 2] = -1  # nothing anywhere
    found = device_outputs("pose", [heat], (32, 24))["keypoints"]
    assert found.tolist() == [[11, 17, pytest.approx(0.9)], [12, 0, 0.5], [0, 0, -1]]
