"""The finished 8-bit graph shaped for somebody's kernels: the same integers, whatever the shape."""

import platform
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from models import COLOURS, SIDE, Net, bundle_of, colour_pictures
from onnx import numpy_helper

from export.blocks import fill_blocks
from export.calibrate import images
from export.padding import pad_picture
from export.quantize import calibrate
from export.settle import settle
from export.stem import fold_columns


def _net(*, taps: int, stride: int, pad: int, channels: int) -> onnx.ModelProto:
    """A first convolution, a depthwise one of so many channels, and what reads it."""
    rng = np.random.default_rng(3)
    net = Net()
    first = rng.normal(0, 0.02, (channels, 3, taps, taps))
    x = net.add("Relu", net.conv(net.front(), first, strides=[stride, stride], pads=[pad] * 4))
    deep = rng.normal(0, 0.3, (channels, 1, 3, 3))
    y = net.add("Relu", net.conv(x, deep, group=channels, pads=[1, 1, 1, 1], kernel_shape=[3, 3]))
    z = net.conv(
        net.add("Relu", net.conv(y, rng.normal(0, 0.3, (8, channels, 1, 1)))), rng.normal(0, 0.3, (3, 8, 1, 1))
    )
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", z), axis=1), axis=1, out="scores")
    return net.model("classification")


def _plain(model: onnx.ModelProto, pictures: Path, **how: object) -> onnx.ModelProto:
    """The model in 8 bits before it is shaped."""
    bundle = bundle_of(model, "classification", COLOURS)
    return calibrate(bundle, images(pictures), scheme="u8s8", equalization=False, kernels="any", **how).quantize().model


def _answers(model: onnx.ModelProto, count: int = 2) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(5).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    return np.asarray(session.run(["scores"], {"image": pictures})[0])


@pytest.mark.parametrize(("taps", "stride", "pad"), [(3, 2, 1), (3, 1, 1), (7, 2, 3), (5, 4, 2), (2, 2, 0), (1, 1, 0)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_folded_first_convolution_gives_the_same_numbers(
    tmp_path: Path, taps: int, stride: int, pad: int, per_channel: bool
) -> None:
    model = _net(taps=taps, stride=stride, pad=pad, channels=16)
    plain = _plain(model, colour_pictures(tmp_path), per_channel=per_channel)
    folded, done = fold_columns(plain)
    assert done
    weights = {tuple(t.dims) for t in folded.graph.initializer if len(t.dims) == 4}
    assert any(dims[:2] == (16 * 4 // stride, 12) for dims in weights)
    np.testing.assert_array_equal(_answers(folded), _answers(plain))


def test_first_convolution_whose_columns_do_not_come_out_even_is_left_alone(tmp_path: Path) -> None:
    for taps, stride, pad in ((3, 2, 0), (3, 3, 1)):  # fewer results than columns; no stride of a group's
        model = _net(taps=taps, stride=stride, pad=pad, channels=16)
        plain = _plain(model, colour_pictures(tmp_path / f"{taps}{stride}"))
        same, done = fold_columns(plain)
        assert not done
        assert same == plain


@pytest.mark.parametrize("per_channel", [True, False])
def test_depthwise_convolution_is_filled_to_whole_blocks_and_gives_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_channel: bool
) -> None:
    model = _net(taps=3, stride=2, pad=1, channels=12)
    plain = _plain(model, colour_pictures(tmp_path), per_channel=per_channel)
    assert fill_blocks(plain)[1] == 0  # on a picture so small the file would grow more than the time shrinks
    monkeypatch.setattr("export.blocks._WORTH", 1)
    filled, count = fill_blocks(plain)
    assert count == 1
    weights = {
        tuple(t.dims): numpy_helper.to_array(t)
        for t in filled.graph.initializer
        if t.data_type == onnx.TensorProto.INT8
    }
    assert {(16, 3, 3, 3), (16, 1, 3, 3), (8, 16, 1, 1)} <= weights.keys()
    assert not weights[16, 3, 3, 3][12:].any()
    assert not weights[8, 16, 1, 1][:, 12:].any()
    np.testing.assert_array_equal(_answers(filled), _answers(plain))


def test_depthwise_convolution_in_whole_blocks_or_read_elsewhere_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.blocks._WORTH", 1)
    whole = _plain(_net(taps=3, stride=2, pad=1, channels=16), colour_pictures(tmp_path / "whole"))
    assert fill_blocks(whole)[1] == 0
    net = Net()
    rng = np.random.default_rng(3)
    x = net.add("Relu", net.conv(net.front(), rng.normal(0, 0.02, (6, 3, 3, 3)), pads=[1, 1, 1, 1]))
    y = net.add("Relu", net.conv(x, rng.normal(0, 0.3, (6, 1, 3, 3)), group=6, pads=[1, 1, 1, 1]))
    z = net.conv(net.add("Add", x, y), rng.normal(0, 0.3, (3, 6, 1, 1)))  # the sum needs both as they are
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", z), axis=1), axis=1, out="scores")
    summed = _plain(net.model("classification"), colour_pictures(tmp_path / "summed"))
    assert fill_blocks(summed)[1] == 0


def test_shaped_model_runs_as_integer_kernels_and_turns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the shape costs: two reshapes, which move nothing."""
    monkeypatch.setattr("export.blocks._WORTH", 1)
    plain = _plain(_net(taps=3, stride=2, pad=1, channels=12), colour_pictures(tmp_path))
    shaped = fold_columns(fill_blocks(plain)[0])[0]
    ran = {}
    for name, model in (("plain", plain), ("shaped", shaped)):
        settings = ort.SessionOptions()
        settings.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        settings.log_severity_level = 3
        ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        ran[name] = Counter(n.op_type for n in onnx.load(tmp_path / f"{name}.onnx").graph.node)
    assert ran["shaped"]["QLinearConv"] == 4
    assert ran["shaped"] - ran["plain"] == {"Reshape": 2}


@pytest.mark.parametrize(("taps", "stride", "pad"), [(3, 2, 1), (3, 1, 1), (7, 2, 3), (2, 2, 0)])
@pytest.mark.parametrize("per_channel", [True, False])
def test_first_convolution_whose_padding_stands_in_the_picture_gives_the_same_numbers(
    tmp_path: Path, taps: int, stride: int, pad: int, per_channel: bool
) -> None:
    model = _net(taps=taps, stride=stride, pad=pad, channels=16)
    plain = _plain(model, colour_pictures(tmp_path), per_channel=per_channel)
    padded, done = pad_picture(plain)
    assert done
    first = next(n for n in padded.graph.node if n.op_type == "Conv")
    assert [list(a.ints) for a in first.attribute if a.name == "pads"] == [[0, 0, 0, 0]]
    np.testing.assert_array_equal(_answers(padded), _answers(plain))


def test_first_convolution_whose_padding_is_not_written_or_whose_bias_has_no_room_is_left_alone(tmp_path: Path) -> None:
    plain = _plain(_net(taps=3, stride=2, pad=1, channels=16), colour_pictures(tmp_path))
    first = next(n for n in plain.graph.node if n.op_type == "Conv")
    bias = next(n for n in plain.graph.node if first.input[2] in n.output).input[0]
    automatic, full = onnx.ModelProto(), onnx.ModelProto()
    for model in (automatic, full):
        model.CopyFrom(plain)
    next(n for n in automatic.graph.node if n.op_type == "Conv").attribute.append(
        onnx.helper.make_attribute("auto_pad", "SAME_UPPER")
    )
    held = next(t for t in full.graph.initializer if t.name == bias)
    signs = -np.sign(numpy_helper.to_array(held).astype(np.int64)).clip(-1, -1)
    held.CopyFrom(numpy_helper.from_array((signs * (2**31 - 1)).astype(np.int32), bias))
    for model in (automatic, full):
        same, done = pad_picture(model)
        assert not done
        assert same == model


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="OpenVINO's kernels for x86")
def test_model_shaped_for_openvino_runs_there_in_8_bits_from_the_first_convolution_on(tmp_path: Path) -> None:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report to its makers
    openvino = pytest.importorskip("openvino")
    bundle = bundle_of(_net(taps=3, stride=2, pad=1, channels=16), "classification", COLOURS)
    paths = images(colour_pictures(tmp_path))
    answers, kinds = {}, {}
    for kernels in ("any", "openvino"):
        calibrated = calibrate(bundle, paths, scheme="u8s8", equalization=False, kernels=kernels)
        model = calibrated.quantize().model
        answers[kernels] = _answers(model)
        graph = openvino.Core().read_model(model.SerializeToString())
        graph.reshape([1, SIDE, SIDE, 3])
        compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        nodes = [n.get_rt_info() for n in compiled.get_runtime_model().get_ops()]
        kinds[kernels] = [i["primitiveType"].value for i in nodes if "Convolution" in i["layerType"].value]
    assert [kind.rpartition("_")[2] for kind in kinds["openvino"]] == ["I8"] * 4, kinds
    assert any(kind.endswith("_f32") for kind in kinds["any"]), "it does so by itself now: export.padding is not needed"
    np.testing.assert_allclose(answers["openvino"], answers["any"], atol=0.01)


def test_quantize_shapes_the_graph_for_the_kernels_that_are_asked_for_on_x86_only(tmp_path: Path) -> None:
    bundle = bundle_of(_net(taps=3, stride=2, pad=1, channels=16), "classification", COLOURS)
    paths = images(colour_pictures(tmp_path))
    found = {}
    for scheme in ("u8s8", "s8s8"):
        for kernels in ("onnxruntime", "openvino", "any"):
            graph = calibrate(bundle, paths, scheme=scheme, kernels=kernels).quantize().model.graph
            names = {t.name.partition("/")[0] for t in graph.initializer}
            stored = {n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
            ends = [n for n in graph.node if n.op_type == "Conv"][-1:]
            found[scheme, kernels] = "columns" in names, "padding" in names, ends[0].output[0] in stored
    assert found == {
        ("u8s8", "onnxruntime"): (True, False, True),
        ("u8s8", "openvino"): (False, True, False),
        ("u8s8", "any"): (False, False, True),
        ("s8s8", "onnxruntime"): (False, False, True),
        ("s8s8", "openvino"): (False, False, True),
        ("s8s8", "any"): (False, False, True),
    }


def test_report_of_a_shaped_model_has_the_noise_of_each_layer_as_the_float_model_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filled layer has more channels than in float; its noise is that of the ones that are there in both."""
    monkeypatch.setattr("export.blocks._WORTH", 1)
    bundle = bundle_of(_net(taps=3, stride=2, pad=1, channels=12), "classification", COLOURS)
    paths = images(colour_pictures(tmp_path))
    rows = {}
    for kernels in ("onnxruntime", "openvino", "any"):
        provider = "openvino" if kernels == "openvino" else "cpu"
        settled = settle(bundle, paths, max_drop=1.0, scheme="u8s8", kernels=kernels, provider=provider)
        shapes = [tuple(t.dims) for t in settled.quantized.model.graph.initializer]
        assert ((16, 1, 3, 3) in shapes) == (kernels == "onnxruntime")
        rows[kernels] = settled.report["layers"]
        timed_on = settled.verdict.speed.provider
        assert ("OpenVINO" in timed_on) == (kernels == "openvino" and find_spec("openvino") is not None), timed_on
    assert len(rows["any"]) == 4
    assert all(row["snr_db"] > 10 for row in rows["any"])
    assert rows["onnxruntime"] == rows["any"]
    assert [row["layer"] for row in rows["openvino"]] == [row["layer"] for row in rows["any"]]
