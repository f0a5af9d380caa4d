"""The golden sample fails on what it is there for: another mean, colours, resize rule, weight, label order, provider."""

import hashlib
import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edge.bundle.bundle import read_bundle
from edge.cli import main
from edge.inference import stages
from edge.inference.expectation import compare, expected
from edge.inference.golden import check, golden_image
from edge.inference.stages import Stage
from edge.results import Detections, Instances, Segmentation
from export.certificate import MISTAKES, certificate, telling


@pytest.fixture
def copy(street, tmp_path):
    """The demo's bundle, which a test may tamper with."""
    return shutil.copytree(street, tmp_path / "bundle", ignore=shutil.ignore_patterns("source"))


def claim(folder, name, data):
    """Put a file into the bundle, with the manifest agreeing: only the golden sample can tell."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / name).write_bytes(data)
    manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def run_sample(folder):
    bundle = read_bundle(folder)
    return check(bundle, Stage(bundle))


def test_sample_when_the_demos_bundle_is_made_then_it_tells_every_mistake(street):
    report = run_sample(street)
    assert report.ok
    assert report.catches == MISTAKES
    assert report.compared > 0
    assert report.worst_score < 1e-3


def test_mean_when_it_is_tampered_with_then_the_sample_fails(copy):
    model = onnx.load(copy / "model.onnx")
    shift = next(i for i in model.graph.initializer if numpy_helper.to_array(i).size == 3)
    values = numpy_helper.to_array(shift)
    assert 90 < np.abs(values).mean() < 140, "the mean, in 0 to 255"
    shift.CopyFrom(numpy_helper.from_array((values * 0.8).astype(values.dtype), shift.name))
    claim(copy, "model.onnx", model.SerializeToString())
    assert not run_sample(copy).ok


def test_channels_when_their_order_is_swapped_then_the_sample_fails(copy, monkeypatch):
    real = stages.prepare

    def swapped(*image, **settings):
        tensor, placement = real(*image, **settings)
        return np.ascontiguousarray(tensor[..., ::-1]), placement

    monkeypatch.setattr(stages, "prepare", swapped)
    assert not run_sample(copy).ok


@pytest.mark.parametrize("rule", ["letterbox", "crop"])
def test_resize_rule_when_it_is_another_then_the_sample_fails(copy, rule):
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["input"]["resize"] == "stretch"
    manifest["input"]["resize"] = rule
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert not run_sample(copy).ok


def test_weight_when_a_bit_of_it_is_flipped_then_the_sample_fails(copy):
    """The exponent's lowest bit of one weight of the first convolution: it doubles or halves, and nothing else changes."""
    model = onnx.load(copy / "model.onnx")
    first = next(n for n in model.graph.node if n.op_type == "Conv")
    tensor = next(i for i in model.graph.initializer if i.name == first.input[1])
    weights = numpy_helper.to_array(tensor).copy()
    flat = weights.reshape(-1).view(np.uint32)
    flat[np.abs(weights.reshape(-1)).argmax()] ^= 1 << 23
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    claim(copy, "model.onnx", model.SerializeToString())
    assert not run_sample(copy).ok


def test_labels_when_their_order_is_another_then_the_sample_fails(copy):
    claim(copy, "labels.txt", b"vehicle\nperson\n")
    assert run_sample(copy).problems == ("the labels are not those, in the order, that the sample was made with",)


def test_provider_when_it_is_not_the_one_asked_for_then_the_test_fails_and_says_so(street, capsys):
    assert main(["bundle", "test", str(street), "--provider", "tensorrt", "--json"]) == 1
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert (document["ok"], document["provider"]) == (False, "CPUExecutionProvider")
    assert document["problems"][0].startswith("tensorrt fell away: ")
    assert "tensorrt was asked for and is not what ran" in told.err


def test_wheel_when_it_is_another_then_the_test_says_which_made_the_bundle_and_which_this_is(copy, capsys):
    manifest = json.loads((copy / "manifest.json").read_text())
    assert main(["bundle", "test", str(copy)]) == 0
    assert "this one is" not in capsys.readouterr().out
    manifest["tools"]["onnxruntime"] = "1.20.0"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert main(["bundle", "test", str(copy)]) == 0, "what it computes is the same"
    assert f"made with onnxruntime 1.20.0; this one is {onnxruntime.__version__}" in capsys.readouterr().out
    assert main(["bundle", "test", str(copy), "--json"]) == 0
    wheels = json.loads(capsys.readouterr().out)["onnxruntime"]
    assert wheels == {"made_with": "1.20.0", "here": onnxruntime.__version__}


def test_wheel_when_it_is_too_old_for_the_model_then_the_test_fails_in_one_line(copy, capsys):
    """Seen from the other side: a model of operators that this wheel has not heard of."""
    model = onnx.load(copy / "model.onnx")
    next(o for o in model.opset_import if o.domain in {"", "ai.onnx"}).version = 60
    claim(copy, "model.onnx", model.SerializeToString())
    assert main(["bundle", "test", str(copy)]) == 1
    told = capsys.readouterr().err
    assert "opset" in told.lower()
    assert "Traceback" not in told


def test_kernels_when_they_compute_otherwise_then_the_test_fails(street, monkeypatch):
    """A wheel that is broken for this processor: sums are a little off, as with saturating 8-bit products."""
    bundle = read_bundle(street)
    stage = Stage(bundle)
    real = stage.session.infer

    def wrong(images):
        return {name: v * np.float32(0.97) if name == "scores" else v for name, v in real(images).items()}

    monkeypatch.setattr(stage.session, "infer", wrong)
    assert not check(bundle, stage).ok


def test_sample_when_the_first_pictures_show_nothing_then_it_is_made_of_one_that_does(street):
    bundle = read_bundle(street)
    blank = np.zeros((240, 500, 3), np.uint8)
    files = certificate(bundle, [blank, golden_image(bundle)])
    assert files["golden/input.png"] == bundle.files["golden/input.png"]
    assert json.loads(files["golden/expected.json"])["catches"] == list(MISTAKES)


def test_picture_when_it_has_the_shape_of_the_input_then_it_is_cut_so_that_resizing_shows():
    for shape in ((300, 400), (720, 1280), (400, 300), (37, 50)):
        shown = telling(np.zeros((*shape, 3), np.uint8), 288, 384)
        aspect = (shown.shape[1] / shown.shape[0]) / (384 / 288)
        assert not 1 / 1.25 < aspect < 1.25, shape
        assert shown.shape[0] <= 288 * 1.7
        assert shown.shape[1] <= 384 * 1.7


def test_sample_when_it_is_a_mask_then_each_pixel_counts():
    """Half the picture is one class and half another: swapped halves have the same shares."""
    want = np.zeros((40, 60), np.uint8)
    want[:, 30:] = 1
    spec = expected(Segmentation(want), threshold=0.5, score=0.05, pixels=0.02)
    near, swapped = want.copy(), want[:, ::-1]
    near[:, 29:30] = 1
    assert compare(spec, Segmentation(want), ("a", "b"), mask=want).ok
    assert compare(spec, Segmentation(near), ("a", "b"), mask=want).ok
    assert compare(spec, Segmentation(swapped), ("a", "b"), mask=want).problems == (
        "100.00% of the pixels are of another class than expected",
    )


def test_sample_when_it_is_instances_then_masks_count():
    boxes = np.array([[0, 0, 20, 20]], np.float32)
    found = Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int64))
    full, half = np.ones((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.float32)
    half[:, :2] = 1
    spec = expected(Instances(found, boxes, full, 30, 30), threshold=0.5, score=0.01, box_px=1, pixels=0.02)
    assert compare(spec, Instances(found, boxes, full, 30, 30), ("a",)).ok
    assert not compare(spec, Instances(found, boxes, half, 30, 30), ("a",)).ok
