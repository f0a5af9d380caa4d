import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from models import (
    CELL,
    COLOURS,
    SIDE,
    bundle_of,
    colour_net,
    colour_pictures,
    shade_net,
    square_coco,
    square_net,
    square_pictures,
)
from street import ROOT

from edge.bundle.bundle import Bundle
from export.cli import _parser
from export.datasets import open_data
from export.errors import ExportError
from export.evaluate import MAIN_METRIC, evaluate
from export.masks import read_mask


@pytest.fixture
def classifier() -> Bundle:
    return bundle_of(colour_net(), "classification", COLOURS)


@pytest.fixture
def detector() -> Bundle:
    return bundle_of(square_net(), "detection", ("red", "green"))


def _voc(folder: Path) -> str:
    truth = square_pictures(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for n, squares in enumerate(truth):
        objects = "".join(
            f"<object><name>{('red', 'green')[label]}</name><difficult>0</difficult><bndbox>"
            f"<xmin>{c * CELL + 1}</xmin><ymin>{r * CELL + 1}</ymin><xmax>{c * CELL + CELL}</xmax><ymax>{r * CELL + CELL}</ymax>"
            "</bndbox></object>"
            for label, c, r in squares
        )
        text = f"<annotation><filename>{n}.png</filename>{objects}</annotation>"
        (folder / "Annotations" / f"{n}.xml").write_text(text)
    return f"voc:{folder}"


def test_evaluate_on_an_image_folder_gives_top1_and_top5_as_the_contract_says(
    tmp_path: Path, classifier: Bundle
) -> None:
    told: list[tuple[str, int, int]] = []
    found = evaluate(classifier, f"imagefolder:{colour_pictures(tmp_path)}", progress=lambda *how: told.append(how))
    document = found.to_json()
    assert list(document) == ["task", "images", "metrics", "intervals_95", "latency_ms"]
    assert document["intervals_95"] == {"top1": [1.0, 1.0], "top5": [1.0, 1.0]}
    assert document["task"] == "classification"
    assert document["images"] == 12
    assert document["metrics"] == {"top1": 1.0, "top5": 1.0}
    assert 0 < document["latency_ms"]["p50"] <= document["latency_ms"]["p99"]
    assert ("evaluating", 12, 12) in told


def test_evaluate_against_another_bundle_measures_both_on_the_same_pictures(tmp_path: Path, classifier: Bundle) -> None:
    other = bundle_of(colour_net(seed=9), "classification", COLOURS)
    document = evaluate(classifier, f"imagefolder:{colour_pictures(tmp_path)}", against=other).to_json()
    assert list(document["against"]) == ["task", "images", "metrics", "intervals_95", "latency_ms"]
    assert document["against"]["images"] == document["images"]
    gap = document["difference"]["top1"]
    assert gap["value"] == pytest.approx(document["metrics"]["top1"] - document["against"]["metrics"]["top1"], abs=1e-5)
    assert gap["interval_95"][0] <= gap["value"] <= gap["interval_95"][1]


def test_evaluate_on_coco_gives_ap_of_a_detector_that_finds_all(
    tmp_path: Path, detector: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = evaluate(detector, square_coco(tmp_path)).to_json()["metrics"]
    assert metrics == {"ap": pytest.approx(1, abs=1e-3), "ap50": pytest.approx(1, abs=1e-3)}
    assert capsys.readouterr().out == ""


def test_evaluate_on_coco_when_objects_are_missed_gives_less(tmp_path: Path, detector: Bundle) -> None:
    metrics = evaluate(detector, square_coco(tmp_path, wrong=9)).metrics
    assert 0.1 < metrics["ap50"] < 0.8


def test_evaluate_on_coco_when_categories_are_called_otherwise_takes_aliases(tmp_path: Path, detector: Bundle) -> None:
    spec = square_coco(tmp_path, names=("crimson", "Green"))
    assert open_data(spec, detector.labels).classes == (1,)
    found = evaluate(detector, spec, aliases={"crimson": "red"})
    assert found.metrics["ap"] == pytest.approx(1, abs=1e-3)
    with pytest.raises(ExportError, match="alias to 'scarlet': the bundle has no such label"):
        evaluate(detector, spec, aliases={"crimson": "scarlet"})
    with pytest.raises(ExportError, match=r"alias to 'redd': the bundle has no such label; did you mean 'red'\?"):
        evaluate(detector, spec, aliases={"crimson": "redd"})
    with pytest.raises(ExportError, match=r"alias of 'crimsn': .* has no class of that name; did you mean 'crimson'\?"):
        evaluate(detector, spec, aliases={"crimsn": "red"})


def test_evaluate_on_voc_gives_both_of_its_average_precisions(tmp_path: Path, detector: Bundle) -> None:
    metrics = evaluate(detector, _voc(tmp_path)).metrics
    assert metrics == pytest.approx({"ap": 1, "ap50": 1, "voc_ap": 1, "voc07_ap": 1}, abs=1e-3)


def test_evaluate_on_masks_gives_mean_iou(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    image, mask = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for k in range(4):  # nothing, blue, green, red from left to right
        image[:, k * 8 : k * 8 + 8, max(k - 1, 0)] = 255 if k else 0
        mask[:, k * 8 : k * 8 + 8] = (0, 3, 2, 1)[k]
    mask[:, 30:] = 255
    image[:, 31] = (0, 255, 0)  # wrong, but not judged
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    found = evaluate(bundle_of(shade_net(), "segmentation", ("none", *COLOURS)), f"masks:{tmp_path}")
    assert found.metrics == {"miou": 1, "pixel_accuracy": 1}


def test_evaluate_when_data_is_for_another_task_is_an_error(tmp_path: Path, detector: Bundle) -> None:
    (tmp_path / "red").mkdir()
    cv2.imwrite(str(tmp_path / "red" / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ExportError, match="its task is detection, but the data is for classification; give coco:"):
        evaluate(detector, f"imagefolder:{tmp_path}")


def test_evaluate_when_against_has_other_labels_is_an_error(tmp_path: Path, classifier: Bundle) -> None:
    other = bundle_of(colour_net(), "classification", ("a", "b", "c"))
    with pytest.raises(ExportError, match="its labels are not those of"):
        evaluate(classifier, f"imagefolder:{colour_pictures(tmp_path)}", against=other)


def test_open_data_when_the_specification_is_wrong_is_an_error_that_says_what_is_known(tmp_path: Path) -> None:
    for spec in ("", "here", "tfds:x", "voc:"):
        with pytest.raises(ExportError, match=r"is not one of imagefolder:DIR, coco:"):
            open_data(spec, COLOURS)
    with pytest.raises(ExportError, match="gone: no such folder"):
        open_data(f"imagefolder:{tmp_path / 'gone'}", COLOURS)
    with pytest.raises(ExportError, match=r"not coco:ANNOTATIONS.json:IMAGES"):
        open_data("coco:here", COLOURS)


def test_image_folder_when_a_class_is_unknown_names_it_and_the_nearest_label(tmp_path: Path) -> None:
    (tmp_path / "gren").mkdir()
    with pytest.raises(ExportError, match=r"gren: the bundle has no label of that name; did you mean 'green'\?"):
        open_data(f"imagefolder:{tmp_path}", COLOURS)
    (tmp_path / "gren").rename(tmp_path / "xyz")
    with pytest.raises(ExportError, match="rename the folder or give --alias FOLDER=LABEL"):
        open_data(f"imagefolder:{tmp_path}", COLOURS)
    (tmp_path / "xyz").rename(tmp_path / "Green")
    with pytest.raises(ExportError, match="no images; expected a folder a class"):
        open_data(f"imagefolder:{tmp_path}", COLOURS)


def test_coco_when_damaged_or_foreign_is_an_error_that_names_the_file(tmp_path: Path, detector: Bundle) -> None:
    spec = square_coco(tmp_path)
    file = tmp_path / "val.json"
    whole = json.loads(file.read_text())
    for broken, message in [
        ("{", "val.json: not COCO annotations"),
        ("[]", "val.json: not COCO annotations: it has no list images nor annotations nor categories"),
        (json.dumps({"images": [], "annotations": []}), "val.json: not COCO annotations: it has no list categories"),
        (
            json.dumps({**whole, "annotations": [{"id": 5, "image_id": 99}]}),
            "val.json: annotation 5: image_id 99 is not among its images",
        ),
        (
            json.dumps({**whole, "annotations": [{**whole["annotations"][0], "category_id": 99}]}),
            "category_id 99 is not among its categories",
        ),
        (
            json.dumps({**whole, "annotations": [{"id": 5, "image_id": whole["images"][0]["id"]}]}),
            "val.json: not COCO annotations of images: no key 'category_id'",
        ),
        (
            json.dumps({**whole, "annotations": [{**whole["annotations"][0], "bbox": [1, 2, -3, 4]}]}),
            r"bbox \[1, 2, -3, 4\] is not x, y, width, height",
        ),
        (json.dumps({**whole, "annotations": []}), "holds no object of a class of the bundle"),
        (json.dumps({**whole, "images": [], "annotations": []}), "names no images"),
        (
            json.dumps({**whole, "categories": [{"id": n, "name": f"c{n}"} for n in (7, 8)]}),
            r"none of its classes \(c7, c8\)",
        ),
    ]:
        file.write_text(broken)
        with pytest.raises(ExportError, match=message):
            open_data(spec, detector.labels)
    file.write_text(json.dumps(whole))
    (tmp_path / "images" / "3.png").unlink()
    with pytest.raises(ExportError, match=r"3\.png: no such image \(1 of 6"):
        open_data(spec, detector.labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "not a VOC annotation"),
        ("<annotation><object><name>red</name></object></annotation>", "an object lacks bndbox/xmin"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "with a document type"),
    ],
)
def test_voc_when_an_annotation_is_damaged_is_an_error_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    spec = _voc(tmp_path)
    (tmp_path / "Annotations" / "2.xml").write_text(text)
    with pytest.raises(ExportError, match=f"2.xml: .*{message}"):
        open_data(spec, COLOURS)


def test_voc_reads_the_list_of_test_pictures_where_there_is_one(tmp_path: Path) -> None:
    spec = _voc(tmp_path)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("1\n4\n")
    assert [p.stem for p in open_data(spec, COLOURS).paths] == ["1", "4"]


def test_read_mask_knows_voc_colours_and_no_others(tmp_path: Path) -> None:
    colours = np.array([[[0, 0, 0], [0, 0, 128], [0, 128, 0], [192, 224, 224]]], np.uint8)  # BGR of 0, 1, 2, 255
    cv2.imwrite(str(tmp_path / "a.png"), colours)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[0, 1, 2, 255]])
    cv2.imwrite(str(tmp_path / "b.png"), colours + 1)
    with pytest.raises(ExportError, match=r"b\.png: colour #[0-9a-f]{6} is not in VOC's palette"):
        read_mask(tmp_path / "b.png")


def test_masks_when_one_does_not_fit_its_image_is_an_error(tmp_path: Path) -> None:
    bundle = bundle_of(shade_net(), "segmentation", ("none", *COLOURS))
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 4, np.uint8))
    with pytest.raises(ExportError, match="holds class 4, the bundle has 4 labels"):
        evaluate(bundle, f"masks:{tmp_path}")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 9), np.uint8))
    with pytest.raises(ExportError, match="the mask is 9x8, its image 8x8"):
        evaluate(bundle, f"masks:{tmp_path}")


def test_page_on_evaluation_names_only_arguments_that_there_are() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    commands = re.findall(r"^gluon-export (.*)$", page, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        assert _parser().parse_args(shlex.split(command)).command == "evaluate"
    for metric in MAIN_METRIC.values():
        assert f"`{metric}`" in page
