"""Each rewrite on its own, on ONNX text: what it must change, what it must leave, and that results stay."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

from export.passes import (
    drop_identity,
    fold_batch_norm,
    fold_input_scale,
    fuse_hard_sigmoid,
    merge_casts,
    merge_resizes,
    split_deconvolution,
)
from export.program import Program
from export.run_onnx import run_model

HEADER = '<ir_version: 9, opset_import: ["" : 17]>\n'


def parse(text: str, **constants) -> onnx.ModelProto:
    model = parser.parse_model(HEADER + text)
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array, np.float32), name))
    onnx.checker.check_model(model, full_check=True)
    return model


def apply(rewrite, model: onnx.ModelProto, feed: np.ndarray, atol: float = 1e-5) -> list[str]:
    """Run the rewrite, check that results stay, and give the operations that are left."""
    program = Program.from_model(model)
    rewrite(program)
    after = program.to_model()
    onnx.checker.check_model(after, full_check=True)
    one, two = (run_model(each, {"x": feed}, optimize=False) for each in (model, after))
    for name, expected in one.items():
        np.testing.assert_allclose(two[name], expected, atol=atol, rtol=1e-5)
    return [op.type for op in program.ops]


def numbers(*shape, low=-1.0):
    return np.random.default_rng(sum(shape)).uniform(low, 1, shape).astype(np.float32)


def test_drop_identity_when_a_value_is_only_renamed_then_it_takes_the_last_name():
    model = parse("f (float[N,4] x) => (float[N,4] y, float[N,4] z) { a = Relu(x)\n y = Identity(a)\n z = Neg(a) }")
    assert apply(drop_identity, model, numbers(2, 4)) == ["Relu", "Neg"]


def test_drop_identity_when_two_outputs_are_the_same_value_then_one_stays():
    model = parse(
        "f (float[N,4] x) => (float[N,4] y, float[N,4] z) { a = Relu(x)\n y = Identity(a)\n z = Identity(a) }"
    )
    assert apply(drop_identity, model, numbers(2, 4)) == ["Relu", "Identity"]


def test_drop_identity_when_an_output_is_the_input_then_it_stays():
    model = parse("f (float[N,4] x) => (float[N,4] y) { y = Identity(x) }")
    assert apply(drop_identity, model, numbers(2, 4)) == ["Identity"]


NORM = {"g": numbers(4), "b": numbers(4), "m": numbers(4), "v": numbers(4, low=0.2)}


def test_fold_batch_norm_when_behind_a_convolution_then_it_is_gone():
    model = parse(
        "f (float[N,3,6,6] x) => (float[N,4,6,6] y) { c = Conv<pads=[1,1,1,1]>(x, w)\n"
        "n = BatchNormalization<epsilon=0.01>(c, g, b, m, v)\n y = Relu(n) }",
        w=numbers(4, 3, 3, 3), **NORM,
    )  # fmt: skip
    assert apply(fold_batch_norm, model, numbers(2, 3, 6, 6)) == ["Conv", "Relu"]


def test_fold_batch_norm_when_behind_a_biased_grouped_deconvolution_then_it_is_gone():
    model = parse(
        "f (float[N,6,5,5] x) => (float[N,4,11,11] y) { c = ConvTranspose<group=2, strides=[2,2]>(x, w, k)\n"
        "y = BatchNormalization(c, g, b, m, v) }",
        w=numbers(6, 2, 3, 3), k=numbers(4), **NORM,
    )  # fmt: skip
    assert apply(fold_batch_norm, model, numbers(2, 6, 5, 5)) == ["ConvTranspose"]


def test_fold_batch_norm_when_behind_a_dense_layer_then_it_is_gone():
    model = parse(
        "f (float[N,5] x) => (float[N,4] y) { c = Gemm<transB=1>(x, w, k)\n y = BatchNormalization(c, g, b, m, v) }",
        w=numbers(4, 5), k=numbers(4), **NORM,
    )  # fmt: skip
    assert apply(fold_batch_norm, model, numbers(2, 5)) == ["Gemm"]


def test_fold_batch_norm_when_the_convolution_is_read_elsewhere_then_it_stays():
    model = parse(
        "f (float[N,3,6,6] x) => (float[N,4,6,6] y) { c = Conv<pads=[1,1,1,1]>(x, w)\n"
        "n = BatchNormalization(c, g, b, m, v)\n y = Add(n, c) }",
        w=numbers(4, 3, 3, 3), **NORM,
    )  # fmt: skip
    assert apply(fold_batch_norm, model, numbers(2, 3, 6, 6)) == ["Conv", "BatchNormalization", "Add"]


def test_fold_batch_norm_when_weights_are_shared_then_each_gets_its_own():
    model = parse(
        "f (float[N,4,6,6] x) => (float[N,4,6,6] y) { c = Conv<pads=[1,1,1,1]>(x, w)\n"
        "n = BatchNormalization(c, g, b, m, v)\n y = Conv<pads=[1,1,1,1]>(n, w) }",
        w=numbers(4, 4, 3, 3), **NORM,
    )  # fmt: skip
    assert apply(fold_batch_norm, model, numbers(2, 4, 6, 6)) == ["Conv", "Conv"]


def test_merge_casts_when_a_comparison_is_made_a_number_and_back_then_both_casts_go():
    model = parse(
        "f (float[N,4] x) => (float[N,4] y) { c = Greater(x, t)\n n = Cast<to=1>(c)\n d = Cast<to=9>(n)\n"
        "y = Where(d, x, t) }",
        t=[0.1],
    )  # fmt: skip
    assert apply(merge_casts, model, numbers(2, 4)) == ["Greater", "Where"]


def test_merge_casts_when_the_number_was_none_before_then_it_stays():
    model = parse(
        "f (float[N,4] x) => (float[N,4] y) { n = Cast<to=6>(x)\n d = Cast<to=9>(n)\n y = Where(d, x, t) }", t=[0.1]
    )
    assert apply(merge_casts, model, numbers(2, 4) * 3) == ["Cast", "Cast", "Where"]


ENLARGE = 'Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">'


def test_merge_resizes_when_one_enlarges_what_another_has_then_one_does_both():
    model = parse(
        f"f (float[N,4,3,5] x) => (float[N,4,h,w] y) {{ a = {ENLARGE}(x, , down)\n y = {ENLARGE}(a, , across) }}",
        down=[1, 1, 2, 1], across=[1, 1, 1, 3],
    )  # fmt: skip
    assert apply(merge_resizes, model, numbers(2, 4, 3, 5)) == ["Resize"]


@pytest.mark.parametrize(
    ("first", "second", "outputs"),
    [([1, 1, 2, 1.5], [1, 1, 1, 2], "y"), ([1, 1, 2, 2], [1, 1, 0.5, 0.5], "y"), ([1, 1, 2, 1], [1, 1, 1, 2], "a y")],
)
def test_merge_resizes_when_scales_are_not_whole_or_the_first_is_read_elsewhere_then_both_stay(first, second, outputs):
    results = ", ".join(f"float[N,4,h{name},w{name}] {name}" for name in outputs.split())
    model = parse(
        f"f (float[N,4,4,6] x) => ({results}) {{ a = {ENLARGE}(x, , one)\n y = {ENLARGE}(a, , two) }}",
        one=first, two=second,
    )  # fmt: skip
    assert apply(merge_resizes, model, numbers(2, 4, 4, 6)) == ["Resize", "Resize"]


@pytest.mark.parametrize("last", ["Div(c, six)", "Mul(c, sixth)"])
def test_fuse_hard_sigmoid_when_spelled_out_then_it_is_one_operation(last):
    model = parse(
        f"f (float[N,4] x) => (float[N,4] y) {{ a = Add(x, three)\n c = Clip(a, zero, six)\n y = {last} }}",
        three=3.0, zero=0.0, six=6.0, sixth=1 / 6,
    )  # fmt: skip
    assert apply(fuse_hard_sigmoid, model, numbers(2, 4) * 9) == ["HardSigmoid"]


def test_fuse_hard_sigmoid_when_the_numbers_are_others_then_it_stays():
    model = parse(
        "f (float[N,4] x) => (float[N,4] y) { a = Add(x, three)\n c = Clip(a, zero, six)\n y = Div(c, three) }",
        three=3.0, zero=0.0, six=6.0,
    )  # fmt: skip
    assert apply(fuse_hard_sigmoid, model, numbers(2, 4) * 9) == ["Add", "Clip", "Div"]


SCALE = numbers(1, 3, 1, 1, low=0.5)


def test_fold_input_scale_when_only_a_convolution_reads_it_then_it_is_in_the_weights():
    model = parse(
        "f (float[N,3,6,6] x) => (float[N,4,6,6] y) { s = Mul(x, k)\n y = Conv<pads=[1,1,1,1]>(s, w) }",
        k=SCALE, w=numbers(4, 3, 3, 3),
    )  # fmt: skip
    assert apply(fold_input_scale, model, numbers(2, 3, 6, 6)) == ["Conv"]


def test_fold_input_scale_when_a_norm_reads_it_then_it_is_in_its_statistics():
    model = parse(
        "f (float[N,3,6,6] x) => (float[N,3,6,6] y) { s = Mul(x, k)\n y = BatchNormalization(s, g, b, m, v) }",
        k=SCALE, **{name: array[:3] for name, array in NORM.items()},
    )  # fmt: skip
    assert apply(fold_input_scale, model, numbers(2, 3, 6, 6)) == ["BatchNormalization"]


def test_fold_input_scale_when_two_read_it_then_it_stays():
    model = parse(
        "f (float[N,3,6,6] x) => (float[N,3,6,6] y) { s = Mul(x, k)\n c = Conv<pads=[1,1,1,1]>(s, w)\n y = Add(c, s) }",
        k=SCALE, w=numbers(3, 3, 3, 3),
    )  # fmt: skip
    assert apply(fold_input_scale, model, numbers(2, 3, 6, 6)) == ["Mul", "Conv", "Add"]


DOUBLED = [*["Conv"] * 4, "Concat", "DepthToSpace"]


@pytest.mark.parametrize(
    ("kernel", "pads", "more"),
    [
        ((4, 4), (1, 1, 1, 1), (0, 0)),
        ((2, 2), (0, 0, 0, 0), (0, 0)),
        ((3, 3), (1, 1, 1, 1), (1, 1)),
        ((3, 3), (0, 0, 1, 1), (0, 0)),
        ((5, 4), (2, 1, 2, 1), (1, 0)),
        ((6, 2), (2, 0, 2, 0), (0, 0)),
    ],
)
def test_split_deconvolution_when_it_doubles_its_input_then_four_convolutions_give_the_same(kernel, pads, more):
    model = parse(
        f"f (float[N,6,5,7] x) => (float[N,4,10,14] y) {{ y = ConvTranspose<strides=[2,2], kernel_shape={list(kernel)}, "
        f"pads={list(pads)}, output_padding={list(more)}>(x, w, k) }}",
        w=numbers(6, 4, *kernel), k=numbers(4),
    )  # fmt: skip
    assert apply(split_deconvolution, model, numbers(2, 6, 5, 7)) == DOUBLED


def test_split_deconvolution_when_only_a_relu_reads_it_then_each_convolution_has_its_own():
    model = parse(
        "f (float[N,6,5,7] x) => (float[N,4,10,14] y) { c = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w)\n"
        "y = Relu(c) }",
        w=numbers(6, 4, 4, 4),
    )  # fmt: skip
    assert apply(split_deconvolution, model, numbers(2, 6, 5, 7)) == [*["Conv", "Relu"] * 4, *DOUBLED[4:]]


def test_split_deconvolution_when_its_result_is_also_read_elsewhere_then_the_relu_stays_where_it_is():
    model = parse(
        "f (float[N,6,5,7] x) => (float[N,4,10,14] y) { c = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w)\n"
        "r = Relu(c)\n y = Add(r, c) }",
        w=numbers(6, 4, 4, 4),
    )  # fmt: skip
    assert apply(split_deconvolution, model, numbers(2, 6, 5, 7)) == [*DOUBLED, "Relu", "Add"]


@pytest.mark.parametrize(
    ("attributes", "weights", "size"),
    [
        ("strides=[2,2], group=2, pads=[1,1,1,1]", (6, 2, 4, 4), (10, 14)),
        ("strides=[2,2]", (6, 4, 4, 4), (12, 16)),
        ("strides=[1,1], pads=[1,1,1,1]", (6, 4, 3, 3), (5, 7)),
        ("strides=[2,1], pads=[1,1,1,1]", (6, 4, 4, 3), (10, 7)),
        ("strides=[4,4], pads=[2,2,2,2]", (6, 4, 8, 8), (20, 28)),
        ("strides=[2,2], dilations=[2,2], pads=[1,1,2,2]", (6, 4, 3, 3), (10, 14)),
        ("strides=[2,2], kernel_shape=[1,1], output_padding=[1,1]", (6, 4, 1, 1), (10, 14)),
    ],
)
def test_split_deconvolution_when_it_is_another_kind_then_it_stays(attributes, weights, size):
    model = parse(
        f"f (float[N,6,5,7] x) => (float[N,4,{size[0]},{size[1]}] y) {{ y = ConvTranspose<{attributes}>(x, w) }}",
        w=numbers(*weights),
    )
    assert apply(split_deconvolution, model, numbers(2, 6, 5, 7)) == ["ConvTranspose"]
