"""Winograd's algorithm in the graph: the same numbers as the convolution, for every tile, padding and size."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser
from street import STREET

from edge.bundle.bundle import read_bundle
from export.cli import main
from export.heads import tiled_layers
from export.passes import winograd
from export.passes.tiles import Tile
from export.passes.winograd import Layer, fastest
from export.program import Op, Program
from export.run_onnx import run_model

TILES = [(3, 2), (2, 3), (3, 3), (4, 3)]


@given(st.sampled_from([(m, r) for m in range(1, 6) for r in range(1, 6) if 2 <= m + r - 1 <= 6]), st.integers(0, 99))
def test_a_tile_filters_as_the_definition_says(kind, seed):
    tile = Tile.of(*kind)
    rng = np.random.default_rng(seed)
    inputs, taps = rng.integers(-9, 10, (tile.n, tile.n)), rng.integers(-9, 10, (tile.r, tile.r))
    expected = [[(inputs[y : y + tile.r, x : x + tile.r] * taps).sum() for x in range(tile.m)] for y in range(tile.m)]
    product = (tile.g @ taps @ tile.g.T) * (tile.b @ inputs @ tile.b.T)
    np.testing.assert_allclose(tile.a @ product @ tile.a.T, expected, atol=1e-9)
    weights = [[(tile.weight(i, j) @ taps.ravel()).item() for j in range(tile.n)] for i in range(tile.n)]
    np.testing.assert_allclose(weights, tile.g @ taps @ tile.g.T, atol=1e-12)


def test_a_tile_beyond_the_points_is_refused():
    with pytest.raises(ValueError, match="need 6 points, there are 5"):
        Tile.of(5, 3)


def _convolution(weight: np.ndarray, *, dims: str, attrs: str = "", bias: bool = True) -> onnx.ModelProto:
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]>'
        f"f (float[{dims}] x) => (float[N,C,H,W] y) {{ y = Conv{f'<{attrs}>' if attrs else ''}(x, w{', b' if bias else ''}) }}"
    )
    constants = {"w": weight, "b": np.linspace(-1, 1, len(weight), dtype=np.float32)}
    for name, value in constants.items():
        if name == "w" or bias:
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


def _rewritten(model: onnx.ModelProto, m: int) -> tuple[onnx.ModelProto, int]:
    program = Program.from_model(model)
    count = winograd(program, lambda _: m)
    result = program.to_model()
    onnx.checker.check_model(result, full_check=True)
    return result, count


@given(
    st.sampled_from(TILES),
    st.tuples(st.integers(3, 19), st.integers(3, 19)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.sampled_from([(16, 16), (32, 16), (16, 48)]),
    st.integers(1, 3),
    st.booleans(),
)
def test_a_convolution_gives_the_same_by_tiles(kind, size, pads, channels, batch, bias):
    m, r = kind
    rng = np.random.default_rng(sum(size))
    weight = rng.normal(size=(*channels, r, r)).astype(np.float32) / np.float32(np.sqrt(channels[1] * r * r))
    dims = f"N,{channels[1]},{size[0]},{size[1]}"
    model = _convolution(weight, dims=dims, attrs=f"pads=[{','.join(map(str, pads))}]", bias=bias)
    after, count = _rewritten(model, m)
    assert count == 1
    x = rng.normal(size=(batch, channels[1], *size)).astype(np.float32)
    one, two = (run_model(each, {"x": x})["y"] for each in (model, after))
    assert one.shape == two.shape
    np.testing.assert_allclose(two, one, atol=3e-5 * max(1.0, float(abs(one).max())))
    assert [op.op_type for op in after.graph.node if op.output[0] == "y"] == ["Conv"]


@pytest.mark.parametrize(
    ("shape", "attrs"),
    [
        ((16, 16, 3, 3), "strides=[2, 2]"),
        ((16, 16, 3, 3), "dilations=[2, 2]"),
        ((32, 16, 3, 3), "group=2"),
        ((16, 16, 3, 3), 'auto_pad="SAME_UPPER"'),
        ((16, 16, 1, 1), ""),
        ((16, 16, 5, 5), ""),
        ((16, 16, 3, 1), ""),
        ((16, 3, 3, 3), ""),
        ((12, 16, 3, 3), ""),
    ],
)
def test_what_tiles_do_not_fit_stays(shape, attrs):
    groups = 2 if "group" in attrs else 1
    model = _convolution(np.ones(shape, np.float32), dims=f"N,{shape[1] * groups},9,9", attrs=attrs)
    after, count = _rewritten(model, 3)
    assert count == 0
    assert [node.op_type for node in after.graph.node] == ["Conv"]


def test_a_convolution_of_unknown_size_or_with_computed_weights_stays():
    model = _convolution(np.ones((16, 16, 3, 3), np.float32), dims="N,16,H,W")
    assert _rewritten(model, 3)[1] == 0
    model = _convolution(np.ones((16, 16, 3, 3), np.float32), dims="N,16,9,9")
    weight = model.graph.initializer[0]
    model.graph.input.append(onnx.helper.make_tensor_value_info("w", weight.data_type, weight.dims))
    del model.graph.initializer[0]
    assert _rewritten(model, 3)[1] == 0


def _layer(out: int, into: int, side: int) -> Layer:
    weight = np.broadcast_to(np.float32(0), (out, into, 3, 3))
    return Layer(Op("Conv", "c", ["x", "w"], ["y"]), weight, side, side, (1, 1), (side, side))


def test_the_cheapest_way_is_chosen_and_small_layers_are_left_alone():
    assert fastest(_layer(16, 16, 56)) == 1
    assert fastest(_layer(256, 128, 52)) == 4
    assert fastest(_layer(256, 256, 14)) == 3
    large = _layer(512, 512, 28)
    assert large.seconds(fastest(large)) < 0.6 * large.seconds(1)


@pytest.fixture(scope="module")
def tiled(tmp_path_factory) -> Path:
    """The demo's detector, its convolutions by tiles where that is worth it."""
    out = tmp_path_factory.mktemp("tiled") / "bundle"
    assert main(["convert", *STREET, "--winograd", "-o", str(out)]) == 0
    return out


def test_convert_gives_a_bundle_with_the_same_weights_that_still_equals_mxnet(tiled, street, capsys):
    plain, model = (onnx.load_from_string(read_bundle(path).model) for path in (street, tiled))
    assert tiled_layers(model) == sum("winograd/places" in node.name for node in model.graph.node) > 0
    assert tiled_layers(plain) == 0
    kept = {item.name: item.raw_data for item in model.graph.initializer}
    large = [item for item in plain.graph.initializer if len(item.raw_data) > 4096]
    assert large
    assert all(kept[item.name] == item.raw_data for item in large)
    assert main(["verify", str(tiled), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]


def test_quantize_refuses_it_and_says_why(tiled, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    assert main(["quantize", str(tiled), "--calibration", str(pictures), "-o", str(tmp_path / "int8")]) == 1
    assert "without --winograd" in capsys.readouterr().err


def test_convert_says_when_no_layer_is_worth_it(tmp_path, capsys):
    assert main(["convert", "mobilenet0.25", "--random", "1", "--winograd", "-o", str(tmp_path / "small")]) == 0
    assert "none is worth it" in capsys.readouterr().out
