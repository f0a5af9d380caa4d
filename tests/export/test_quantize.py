from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from models import (
    CELL,
    COLOURS,
    SIDE,
    Net,
    bundle_of,
    colour_net,
    colour_pictures,
    shade_net,
    square_net,
    square_pictures,
)

from edge.bundle.bundle import Bundle
from edge.inference.stages import Stage
from export.calibrate import images, read
from export.equalize import equalize
from export.errors import ExportError
from export.observe import METHODS, count_values, narrowed, observe
from export.quantize import calibrate, quantize, with_model
from export.regions import find_region


@pytest.fixture
def colours(tmp_path: Path) -> tuple[Bundle, list[Path]]:
    return bundle_of(colour_net(), "classification", COLOURS), images(colour_pictures(tmp_path / "colours"))


@pytest.fixture
def squares(tmp_path: Path) -> tuple[Bundle, list[Path]]:
    square_pictures(tmp_path / "squares")
    return bundle_of(square_net(), "detection", ("red", "green")), images(tmp_path / "squares")


def _optimized(model: onnx.ModelProto, tmp_path: Path) -> Counter[str]:
    """The operators that onnxruntime really runs."""
    settings = ort.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    settings.log_severity_level = 3
    ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return Counter(n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node)


def _scores(bundle: Bundle, paths: list[Path]) -> np.ndarray:
    stage = Stage(bundle)
    found = []
    for path in paths:
        result, _ = stage(read(path))
        row = np.zeros(3)
        row[result.labels] = result.scores
        found.append(row)
    return np.array(found)


@pytest.mark.parametrize("scheme", ["u8s8", "s8s8"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_quantized_net_says_what_the_float_one_says(
    colours: tuple[Bundle, list[Path]], scheme: str, per_channel: bool
) -> None:
    bundle, paths = colours
    found = quantize(bundle, paths, scheme=scheme, per_channel=per_channel)
    np.testing.assert_allclose(_scores(found.bundle, paths), _scores(bundle, paths), atol=0.03)
    assert found.report["scheme"] == scheme


@pytest.mark.parametrize("method", METHODS)
def test_quantized_net_holds_with_each_calibration_method(colours: tuple[Bundle, list[Path]], method: str) -> None:
    bundle, paths = colours
    found = quantize(bundle, paths, method=method)
    assert (_scores(found.bundle, paths).argmax(1) == _scores(bundle, paths).argmax(1)).all()


def test_quantized_net_runs_as_integer_kernels_and_nothing_else_between(
    colours: tuple[Bundle, list[Path]], tmp_path: Path
) -> None:
    """Convolution with its Relu or Clip, sum, pools and concatenation, in 8 bits from end to end."""
    found = quantize(*colours, scheme="u8s8")
    ran = _optimized(found.model, tmp_path)
    assert ran["QLinearConv"] == 4
    assert ran["QLinearAdd"] == ran["QLinearConcat"] == ran["QLinearGlobalAveragePool"] == ran["QGemm"] == 1
    assert not {"Conv", "Relu", "Clip", "Gemm", "Add", "Cast", "Sub", "QuantizeLinear", "DequantizeLinear"} & ran.keys()


def test_detector_is_quantized_to_its_last_convolution_and_decodes_in_float(
    squares: tuple[Bundle, list[Path]], tmp_path: Path
) -> None:
    bundle, paths = squares
    found = quantize(bundle, paths)
    assert found.report["quantized"] == {"Conv": 2, "Relu": 1}
    ran = _optimized(found.model, tmp_path)
    assert ran["QLinearConv"] == 2
    assert "QuantizeLinear" not in ran
    before, after = Stage(bundle)(read(paths[0]))[0], Stage(found.bundle)(read(paths[0]))[0]
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_allclose(after.boxes, before.boxes, atol=0.1)


def test_quantize_when_all_nodes_share_no_name_leaves_nothing_out(colours: tuple[Bundle, list[Path]]) -> None:
    """Exclusion by node names excluded everything, silently, where names repeated or lacked."""
    bundle, paths = colours
    assert not any(n.name for n in onnx.load_from_string(bundle.model).graph.node)
    report = quantize(bundle, paths).report
    assert (report["quantized"]["Conv"], report["quantized"]["Gemm"], report["kept_float"]) == (4, 1, {})


def test_quantize_when_a_layer_is_kept_float_keeps_just_that_one(colours: tuple[Bundle, list[Path]]) -> None:
    calibrated = calibrate(*colours)
    for name in calibrated.cores:
        found = calibrated.quantize([name])
        assert list(found.report["kept_float"]) == [name]
        weights = {n.input[1] for n in found.model.graph.node if n.op_type in {"Conv", "Gemm"}}
        floats = [t.name for t in found.model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
        assert len(weights & set(floats)) == 1
        np.testing.assert_allclose(_scores(found.bundle, colours[1]), _scores(*colours), atol=0.03)


def test_quantize_when_everything_is_kept_float_computes_what_float_does(colours: tuple[Bundle, list[Path]]) -> None:
    calibrated = calibrate(*colours)
    found = calibrated.quantize(calibrated.cores)
    assert not found.report["quantized"]
    np.testing.assert_allclose(_scores(found.bundle, colours[1]), _scores(*colours), atol=1e-5)


def test_quantized_model_is_the_same_bytes_each_time(colours: tuple[Bundle, list[Path]]) -> None:
    assert quantize(*colours).bundle.model == quantize(*colours).bundle.model


def test_quantize_when_asked_for_what_is_not_there_is_an_error(colours: tuple[Bundle, list[Path]]) -> None:
    bundle, paths = colours
    for wrong, message in [
        ({"scheme": "u4s4"}, "scheme 'u4s4' is not known"),
        ({"method": "guess"}, "method 'guess' is not known"),
        ({"precision": "int4"}, "precision 'int4' is not known"),
    ]:
        with pytest.raises(ExportError, match=message):
            quantize(bundle, paths, **wrong)
    with pytest.raises(ExportError, match="already int8"):
        quantize(quantize(bundle, paths).bundle, paths)


def test_quantize_when_there_is_nothing_with_weights_is_an_error(colours: tuple[Bundle, list[Path]]) -> None:
    net = Net()
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", net.front())), axis=1, out="scores")
    with pytest.raises(ExportError, match="nothing to quantize"):
        quantize(bundle_of(net.model("classification"), "classification", COLOURS), colours[1])


def test_quantize_when_values_are_not_finite_is_an_error(colours: tuple[Bundle, list[Path]]) -> None:
    net = Net()
    x = net.conv(net.front(), np.full((3, 3, 1, 1), 3e38))
    net.add(
        "Softmax",
        net.add("Flatten", net.add("GlobalAveragePool", net.conv(x, np.ones((3, 3, 1, 1)))), axis=1),
        out="scores",
    )
    with pytest.raises(ExportError, match="is not finite on the calibration images"):
        quantize(bundle_of(net.model("classification"), "classification", COLOURS), colours[1])


def test_region_of_every_test_net_ends_at_the_last_weights() -> None:
    for model, cores, tail in [
        (colour_net(), 5, {"Softmax"}),
        (square_net(), 2, {"Sigmoid", "TopK", "Slice"}),
        (shade_net(), 2, {"ArgMax"}),
    ]:
        region = find_region(model.graph)
        assert len(region.cores) == cores
        assert not tail & {model.graph.node[i].op_type for i in region.nodes}
        assert not {"Cast", "Transpose", "Sub"} & {model.graph.node[i].op_type for i in region.nodes}


def test_region_when_a_layer_has_no_8_bit_kernel_says_so() -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.front(), np.ones((4, 3, 3, 3)), pads=[1, 1, 1, 1]))
    y = net.add("ConvTranspose", x, np.ones((4, 2, 4, 4), np.float32), strides=[2, 2])
    z = net.add("GlobalAveragePool", net.conv(y, np.ones((3, 2, 1, 1))))
    net.add("Flatten", z, axis=1, out="scores")
    region = find_region(net.model("classification").graph)
    assert region.kept_float == {y: "onnxruntime has no 8-bit kernel for ConvTranspose"}


def test_region_when_boxes_feed_a_second_stage_leaves_box_arithmetic_float() -> None:
    """A region of interest is no activation: what computes it stays float although layers with weights follow."""
    net = Net()
    x = net.add("Relu", net.conv(net.front(), np.ones((4, 3, CELL, CELL)), strides=[CELL, CELL]))
    raw = net.add("Flatten", net.conv(x, np.ones((4, 4, 1, 1))), axis=1)
    rois = net.add(
        "Reshape",
        net.add("Mul", net.add("Slice", raw, np.array([0]), np.array([4]), np.array([1])), np.float32(2)),
        np.array([-1, 4]),
    )
    pooled = net.add("RoiAlign", x, rois, np.array([0]), output_height=2, output_width=2)
    y = net.add("Relu", net.conv(pooled, np.ones((4, 4, 1, 1))))
    net.add(
        "Softmax", net.add("Gemm", net.add("Flatten", y, axis=1), np.ones((16, 3), np.float32)), axis=1, out="scores"
    )
    graph = net.model("classification").graph
    ops = Counter(graph.node[i].op_type for i in find_region(graph).nodes)
    assert ops == {"Conv": 3, "Relu": 2, "Flatten": 1, "Gemm": 1}


@pytest.mark.parametrize("clip", [False, True])
def test_equalized_net_computes_the_same_and_rounds_better(tmp_path: Path, clip: bool) -> None:
    """Channels a thousand times apart: in one 8-bit scale the small ones would all be zero."""
    net = Net()
    rng = np.random.default_rng(3)
    spread = np.array([1, 0.1, 0.01, 0.001]).reshape(-1, 1, 1, 1)
    rectifier = ("Clip", np.float32(0), np.float32(6)) if clip else ("Relu",)
    x = net.conv(net.front(), rng.normal(0, 0.02, (4, 3, 3, 3)) * spread, bias=False)
    x = net.add(rectifier[0], x, *rectifier[1:])
    y = net.add("Relu", net.conv(x, rng.normal(0, 1, (4, 1, 3, 3)) / spread, bias=False, group=4))
    z = net.conv(y, rng.normal(0, 1, (3, 4, 1, 1)))
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", z), axis=1), out="scores", axis=1)
    bundle = bundle_of(net.model("classification"), "classification", COLOURS)
    paths = images(colour_pictures(tmp_path))
    calibrated = calibrate(bundle, paths)
    assert calibrated.equalized >= 1
    same = with_model(bundle, calibrated.model.SerializeToString(), "fp32")
    reference = _scores(bundle, paths)
    np.testing.assert_allclose(_scores(same, paths), reference, atol=1e-5)
    errors = [
        np.abs(_scores(quantize(bundle, paths, equalization=on).bundle, paths) - reference).max()
        for on in (False, True)
    ]
    assert errors[1] < errors[0] / 4


def test_equalize_when_the_output_is_read_elsewhere_changes_nothing() -> None:
    net = Net()
    x = net.conv(net.front(), np.eye(3).reshape(3, 3, 1, 1) * [[[[1]]], [[[0.01]]], [[[5]]]])
    y = net.add("Add", x, net.conv(x, np.eye(3).reshape(3, 3, 1, 1)))
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", y), axis=1), out="scores", axis=1)
    assert equalize(net.model("classification"), lambda _: [np.zeros((1, SIDE, SIDE, 3), np.uint8)])[1] == 0


def test_observed_ranges_are_those_of_the_values_and_methods_only_narrow_them() -> None:
    model = square_net()
    rng = np.random.default_rng(5)
    tensors = [rng.integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8) for _ in range(4)]
    name = find_region(model.graph).nodes
    watched = model.graph.node[min(name)].input[0]
    observed = observe(model, [watched], lambda _: tensors)
    low, high = observed.ranges[watched]
    everything = np.concatenate(tensors).astype(np.float32) - np.array([123.675, 116.28, 103.53], np.float32)
    assert (low, high) == pytest.approx((everything.min(), everything.max()))
    for method in METHODS[1:]:
        histograms = count_values(model, observed.ranges, lambda _: tensors)
        narrow = narrowed(observed, histograms, method).ranges[watched]
        assert low <= narrow[0] < narrow[1] <= high


def test_observed_means_are_by_channel() -> None:
    model = square_net()
    watched = model.graph.node[min(find_region(model.graph).nodes)].input[0]
    tensors = [np.full((1, SIDE, SIDE, 3), v, np.uint8) for v in (100, 200)]
    means = observe(model, [watched], lambda _: tensors, means=[watched]).means[watched]
    assert means == pytest.approx(np.array([150 - 123.675, 150 - 116.28, 150 - 103.53]), abs=1e-3)


def test_layer_kept_float_is_left_alone_by_the_runtime_too(tmp_path: Path) -> None:
    """onnxruntime rounds float weights between two 8-bit tensors itself, with one scale for all channels."""
    net = Net()
    rng = np.random.default_rng(7)
    spread = np.array([1, 0.03, 0.001]).reshape(-1, 1, 1, 1)
    x = net.add("Relu", net.conv(net.front(), rng.normal(0, 0.02, (3, 3, 3, 3)) * spread, bias=False))
    y = net.add("Relu", net.conv(x, np.abs(rng.normal(0, 1, (3, 1, 3, 3))) / spread, bias=False, group=3))
    z = net.conv(y, rng.normal(0, 1, (3, 3, 1, 1)))
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", z), axis=1), out="scores", axis=1)
    bundle = bundle_of(net.model("classification"), "classification", COLOURS)
    calibrated = calibrate(bundle, images(colour_pictures(tmp_path)), equalization=False)
    found = calibrated.quantize([calibrated.cores[1]]).model
    ran = _optimized(found, tmp_path)
    assert (ran["FusedConv"] + ran["Conv"], ran["QLinearConv"]) == (1, 2)
    tensor = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    answers = []
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        settings = ort.SessionOptions()
        settings.graph_optimization_level = level
        settings.log_severity_level = 3
        session = ort.InferenceSession(found.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        answers.append(session.run(["scores"], {"image": tensor})[0])
    np.testing.assert_allclose(answers[0], answers[1], atol=0.02)


def test_rectified_and_signed_tensors_concatenate_without_undoing_the_rectifier(tmp_path: Path) -> None:
    """One scale for both would have room for negative values, and the first convolution would run in float."""
    net = Net()
    x = net.front()
    rectified = net.add("Relu", net.conv(x, np.eye(3).reshape(3, 3, 1, 1)))
    signed = net.add("LeakyRelu", net.conv(x, np.eye(3).reshape(3, 3, 1, 1)), alpha=0.1)
    big = net.add("Tile", net.add("MaxPool", rectified, kernel_shape=[1, 1]), np.array([1, 1, 1, 1]))
    z = net.conv(net.add("Concat", big, signed, axis=1), np.ones((3, 6, 1, 1)))
    net.add("Softmax", net.add("Flatten", net.add("GlobalAveragePool", z), axis=1), out="scores", axis=1)
    bundle = bundle_of(net.model("classification"), "classification", COLOURS)
    ran = _optimized(quantize(bundle, images(colour_pictures(tmp_path))).model, tmp_path)
    assert (ran["QLinearConv"], ran["QLinearConcat"], ran["QLinearLeakyRelu"]) == (3, 1, 1)
    assert not {"Conv", "FusedConv", "Relu"} & ran.keys()


@pytest.mark.parametrize("side", ["left", "right"])
def test_product_that_only_resamples_is_no_layer_and_stays_float(tmp_path: Path, side: str) -> None:
    """How an exact resize is written: what follows the last convolution is no layer."""
    net = Net()
    x = net.add("Relu", net.conv(net.front(), np.eye(3).reshape(3, 3, 1, 1)))
    y = net.conv(x, np.ones((4, 3, 1, 1)))
    mean = np.full((SIDE, SIDE), 1 / SIDE, np.float32)
    resized = net.add("MatMul", *((mean, y) if side == "left" else (y, mean)))
    net.add("Cast", net.add("ArgMax", resized, axis=1, keepdims=0), to=onnx.TensorProto.UINT8, out="mask")
    bundle = bundle_of(net.model("segmentation"), "segmentation", ("none", *COLOURS))
    report = quantize(bundle, images(colour_pictures(tmp_path))).report
    assert (report["quantized"], report["kept_float"]) == ({"Conv": 2, "Relu": 1}, {})
