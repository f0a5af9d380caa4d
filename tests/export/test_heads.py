"""Finished models: what goes in, what comes out, and that it is what MXNet gives."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from small_model import write_model

from export import heads, source, zoo
from export.errors import ExportError
from export.run_onnx import run_model
from export.verify import verify
from export.zoo.table import IMAGENET_MEAN, IMAGENET_STD

GLUONCV = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}


@pytest.fixture(scope="module")
def ssd(tmp_path_factory):
    """A zoo SSD with two classes of the user's own, random weights."""
    return zoo.build(
        "ssd_300_mobilenet0.25_custom", out_dir=tmp_path_factory.mktemp("ssd"), random_seed=3, classes=["cat", "dog"]
    )


def finish_ssd(saved, **changes):
    options = {"task": "detection", "input_hw": (300, 300), "labels": ["cat", "dog"], **GLUONCV, **changes}
    return heads.finish(source.load(saved.symbol_path, saved.params_path), **options)


def test_finish_when_the_net_is_an_ssd_then_it_is_exact_for_any_batch(ssd):
    model = finish_ssd(ssd)
    onnx.checker.check_model(model, full_check=True)
    for count in (1, 3):
        found = verify(
            ssd.symbol_path, ssd.params_path, model, zoo.pictures(count, (300, 300), seed=9), task="detection",
            layers=False, **GLUONCV,
        )  # fmt: skip
        assert found.ok, found.to_json()


def test_finish_when_the_net_is_an_ssd_then_the_contract_of_the_bundle_holds(ssd):
    model = finish_ssd(ssd)
    described = {
        value.name: (
            value.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in [*model.graph.input, *model.graph.output]
    }
    assert described == {
        "image": (onnx.TensorProto.UINT8, ["N", 300, 300, 3]),
        "boxes": (onnx.TensorProto.FLOAT, ["N", 100, 4]),
        "scores": (onnx.TensorProto.FLOAT, ["N", 100]),
        "labels": (onnx.TensorProto.INT64, ["N", 100]),
        "count": (onnx.TensorProto.INT64, ["N"]),
    }
    found = run_model(model, {"image": zoo.pictures(2, (300, 300), seed=2)})
    for index, count in enumerate(found["count"]):
        assert 0 < count <= 100
        assert (np.diff(found["scores"][index, :count]) <= 0).all()
        assert (found["scores"][index, :count] > 0.01).all()
        assert not found["scores"][index, count:].any()
        assert not found["boxes"][index, count:].any()


def test_finish_when_nothing_is_found_then_all_rows_are_zero(ssd):
    graph = source.load(ssd.symbol_path, ssd.params_path)
    # The background wins everywhere.
    params = dict(graph.params)
    for name, array in graph.params.items():
        if "convpredictor" in name and name.endswith("bias") and len(array) % 3 == 0:
            params[name] = np.tile(np.float32([50, 0, 0]), len(array) // 3)
    from dataclasses import replace

    model = heads.finish(
        replace(graph, params=params), task="detection", input_hw=(300, 300), labels=["cat", "dog"], **GLUONCV
    )
    found = run_model(model, {"image": zoo.pictures(2, (300, 300), seed=2)})
    assert found["count"].tolist() == [0, 0]
    assert not any(found[name].any() for name in ("boxes", "scores", "labels"))


def test_finish_when_normalisation_is_gluoncvs_then_no_multiplication_is_left_before_the_net(ssd):
    model = finish_ssd(ssd)
    assert [node.op_type for node in model.graph.node][:4] == ["Transpose", "Cast", "Sub", "Conv"]


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_finish_when_labels_do_not_fit_then_the_error_names_both_counts(ssd, tmp_path, task):
    if task == "detection":
        with pytest.raises(ExportError, match=r"3 labels were given, .* tells 2 classes apart"):
            finish_ssd(ssd, labels=["a", "b", "c"])
    else:
        graph = source.load(*write_model(tmp_path))
        with pytest.raises(ExportError, match=r"2 labels were given, .* tells 3 classes apart"):
            heads.finish(graph, task=task, input_hw=(8, 8), labels=["a", "b"])


def test_finish_when_the_model_gives_no_detections_then_the_error_shows_what_it_gives(tmp_path):
    graph = source.load(*write_model(tmp_path))
    with pytest.raises(ExportError, match=r"net-symbol.json: detection needs .*\['N', 3\]"):
        heads.finish(graph, task="detection", input_hw=(8, 8), labels=["a"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "divination"}, "divination"),
        ({"mean": (1, 2, 3)}, "mean and std together"),
        ({"mean": (1, 2), "std": (1, 2)}, "three numbers"),
        ({"mean": (1, 2, 3), "std": (1, 0, 3)}, "positive"),
        ({"scale": -1.0}, "positive"),
        ({"input_hw": (0, 8)}, "0x8"),
    ],
)
def test_finish_when_an_argument_is_wrong_then_the_error_names_it(tmp_path, options, words):
    graph = source.load(*write_model(tmp_path))
    with pytest.raises(ExportError, match=words):
        heads.finish(graph, **{"task": "classification", "input_hw": (8, 8), "labels": ["a", "b", "c"], **options})


@pytest.mark.parametrize("options", [GLUONCV, {"scale": 1 / 127.5, "offset": -1.0}, {}])
def test_finish_when_normalisation_is_given_in_either_form_then_scores_equal_mxnets(tmp_path, options):
    symbol, params = write_model(tmp_path)
    graph = source.load(symbol, params)
    model = heads.finish(graph, task="classification", input_hw=(16, 12), labels=["a", "b", "c"], **options)
    found = verify(symbol, params, model, zoo.pictures(3, (16, 12), seed=4), task="classification", **options)
    assert found.ok, found.to_json()


def test_finish_when_the_real_ssd_sees_a_street_then_it_finds_what_mxnet_finds(data):
    if data is None:
        pytest.skip("the real weights are not beside this checkout; the random SSD above covers the path")
    folder = data / "weights" / "ssd_mobilenet_vehicle_pedestrian"
    graph = source.load(*(next(folder.glob(pattern)) for pattern in ("*-symbol.json", "*.params")))
    model = heads.finish(graph, task="detection", input_hw=(384, 672), labels=["vehicle", "pedestrian"], **GLUONCV)
    picture = cv2.cvtColor(cv2.imread(str(data / "images" / "detection" / "street.jpg")), cv2.COLOR_BGR2RGB)
    picture = cv2.resize(picture, (672, 384), interpolation=cv2.INTER_LINEAR)
    found = run_model(model, {"image": picture[None]})
    by_class = [found["scores"][0][(found["labels"][0] == label) & (found["scores"][0] > 0.74)] for label in (0, 1)]
    assert [round(float(score), 2) for score in by_class[0]] == [0.87, 0.75]
    assert [round(float(score), 2) for score in by_class[1]] == [1.0, 0.99, 0.98, 0.9, 0.83]
