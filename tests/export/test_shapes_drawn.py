"""Families of operators on shapes and attributes drawn at random, each equal to MXNet; see test_attribute_spaces."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from operator_cases import CASES
from operator_runs import Case
from test_attribute_spaces import compare, numbers

# Each example is a net of one operator, built and run twice: few are drawn, the same ones each time.
some = settings(max_examples=12, deadline=None, derandomize=True)
side = st.integers(1, 5)
shapes = st.lists(side, min_size=2, max_size=4).map(tuple)
maps = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(2, 7), st.integers(2, 7))


def ops(*starts: str) -> list[str]:
    """Tested operators of one input without attributes, or those whose names begin so."""
    if starts:
        return sorted({case.op for case in CASES if case.op.startswith(starts)})
    plain = {case.op for case in CASES if len(case.inputs) == 1 and not case.attrs and not case.weights}
    with_more = {case.op for case in CASES if len(case.inputs) != 1}
    return sorted(
        plain - with_more - {"squeeze", "transpose", "sort", "argsort", "argmax_channel", "Flatten", "flatten"}
    )


def within(*shape: int) -> np.ndarray:
    """Inside the domain of every function: 0.05 to 0.95."""
    return np.random.default_rng(sum(shape)).uniform(0.05, 0.95, shape).astype(np.float32)


def whole(high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, high, shape).astype(np.float32)


@settings(some, max_examples=40)
@given(op=st.sampled_from(ops()), shape=shapes)
def test_function_when_its_shape_is_drawn_then_it_equals_mxnet(op, shape):
    assume(len(shape) == 4 or not op.startswith(("_contrib_Bilinear", "L2", "SoftmaxActivation")))
    compare(Case(op, (within(*shape),)))


@settings(some, max_examples=40)
@given(op=st.sampled_from(ops("broadcast_a", "broadcast_d", "broadcast_e", "broadcast_g", "broadcast_h", "broadcast_le",
                              "broadcast_m", "broadcast_n", "broadcast_p", "broadcast_s")),
       shape=shapes, ones=st.lists(st.sampled_from([0, 1, 2]), min_size=4, max_size=4))  # fmt: skip
def test_broadcast_when_shapes_are_drawn_then_it_equals_mxnet(op, shape, ones):
    assume(not op.startswith("broadcast_ax"))
    first, second = list(shape), list(shape)
    for axis, which in zip(range(1, len(shape)), ones, strict=False):
        if which:
            (first if which == 1 else second)[axis] = 1
    compare(Case(op, (within(*first), within(*second) + 0.5)))


@settings(some, max_examples=40)
@given(op=st.sampled_from(sorted({c.op for c in CASES if "calar" in c.op})), scalar=st.floats(0.25, 3), shape=shapes)
def test_scalar_when_drawn_then_it_equals_mxnet(op, scalar, shape):
    compare(Case(op, (within(*shape),), {"scalar": scalar}))


@settings(some, max_examples=40)
@given(
    op=st.sampled_from(["mean", "sum", "max", "min", "prod"]),
    shape=st.lists(side, min_size=3, max_size=4).map(tuple),
    axes=st.sets(st.integers(-3, 2), min_size=1, max_size=2),
    keep=st.booleans(),
    exclude=st.booleans(),
)
def test_reduction_when_axes_are_drawn_then_it_equals_mxnet(op, shape, axes, keep, exclude):
    chosen = {axis % len(shape) for axis in axes}
    assume(len(chosen) == len(axes))
    # The batch is neither lost nor summed: that is another test's.
    assume((0 in chosen) == exclude)
    compare(Case(op, (within(*shape),), {"axis": tuple(axes), "keepdims": keep, "exclude": exclude}))


@some
@given(op=st.sampled_from(["softmax", "log_softmax", "softmin"]), shape=shapes, axis=st.integers(-1, 3))
def test_softmax_when_the_axis_is_drawn_then_it_equals_mxnet(op, shape, axis):
    assume(axis % len(shape) >= 1 and axis < len(shape))
    compare(Case(op, (numbers(*shape) * 4,), {"axis": axis}))


@some
@given(kind=st.sampled_from(["leaky", "elu", "selu", "gelu", "prelu"]), slope=st.floats(0.01, 2), shape=maps)
def test_leaky_when_the_slope_is_drawn_then_it_equals_mxnet(kind, slope, shape):
    inputs = (numbers(*shape), *([within(shape[1])] if kind == "prelu" else []))
    compare(Case("LeakyReLU", inputs, {"act_type": kind, "slope": slope}, tuple(range(1, len(inputs)))))


@some
@given(shape=maps, hidden=st.integers(1, 6), flatten=st.booleans(), biased=st.booleans())
def test_dense_when_shapes_are_drawn_then_it_equals_mxnet(shape, hidden, flatten, biased):
    width = int(np.prod(shape[1:])) if flatten else shape[-1]
    inputs = (numbers(*shape), numbers(hidden, width), *([numbers(hidden)] if biased else []))
    attrs = {"num_hidden": hidden, "flatten": flatten, "no_bias": not biased}
    compare(Case("FullyConnected", inputs, attrs, tuple(range(1, len(inputs)))))


@some
@given(shape=maps, axis=st.integers(1, 3), fixed=st.booleans(), eps=st.floats(1e-5, 0.1), op=st.sampled_from(
    ["BatchNorm", "_contrib_SyncBatchNorm"]))  # fmt: skip
def test_batch_norm_when_attributes_are_drawn_then_it_equals_mxnet(shape, axis, fixed, eps, op):
    attrs = {"fix_gamma": fixed, "eps": eps, **({"axis": axis} if op == "BatchNorm" else {"ndev": 1, "key": "k"})}
    width = shape[axis if op == "BatchNorm" else 1]
    compare(Case(op, (numbers(*shape), *(within(width) + i for i in range(4))), attrs, (1, 2, 3, 4)))


@some
@given(shape=maps, groups=st.sampled_from([1, 2, 3]), eps=st.floats(1e-5, 0.1), axis=st.integers(1, 3), window=st.sampled_from(
    [1, 3, 5]), which=st.sampled_from(["InstanceNorm", "LayerNorm", "GroupNorm", "LRN", "L2Normalization"]),
    mode=st.sampled_from(["instance", "channel", "spatial"]))  # fmt: skip
def test_norm_when_attributes_are_drawn_then_it_equals_mxnet(shape, groups, eps, axis, window, which, mode):
    data = numbers(*shape)
    if which == "LRN":
        compare(Case("LRN", (data,), {"nsize": window, "alpha": eps, "beta": 0.75, "knorm": 2}))
    elif which == "L2Normalization":
        compare(Case("L2Normalization", (data,), {"mode": mode, "eps": eps}))
    elif which == "GroupNorm":
        assume(shape[1] % groups == 0)
        channels = groups
        compare(Case(which, (data, within(channels), numbers(channels)), {"num_groups": groups, "eps": eps}, (1, 2)))
    else:
        width = shape[1] if which == "InstanceNorm" else shape[axis]
        attrs = {"eps": eps, **({"axis": axis} if which == "LayerNorm" else {})}
        compare(Case(which, (data, within(width), numbers(width)), attrs, (1, 2)))


@some
@given(shape=maps, count=st.integers(1, 3), axis=st.integers(-3, 3), op=st.sampled_from(["Concat", "stack", "add_n"]))
def test_joining_when_drawn_then_it_equals_mxnet(shape, count, axis, op):
    assume(axis % 4 != 0)
    inputs = tuple(numbers(*shape) + i for i in range(count))
    axes = {"Concat": {"dim": axis}, "stack": {"axis": axis}, "add_n": {}}[op]
    compare(Case(op, inputs, {"num_args": count, **axes}))


@some
@given(order=st.permutations([1, 2, 3]), one=st.integers(0, 3), two=st.integers(0, 3), shape=maps)
def test_moving_axes_when_drawn_then_it_equals_mxnet(order, one, two, shape):
    compare(Case("transpose", (numbers(*shape),), {"axes": (0, *order)}))
    assume(one and two)
    compare(Case("SwapAxis", (numbers(*shape),), {"dim1": one, "dim2": two}))


@some
@given(shape=shapes, axis=st.integers(-3, 3), reps=st.lists(st.integers(1, 3), min_size=1, max_size=3), times=side)
def test_repeating_when_drawn_then_it_equals_mxnet(shape, axis, reps, times):
    assume(-len(shape) <= axis < len(shape) and axis % len(shape) != 0)
    compare(Case("expand_dims", (numbers(*shape),), {"axis": axis}))
    compare(Case("repeat", (numbers(*shape),), {"axis": axis, "repeats": times}))
    assume(len(reps) < len(shape))
    compare(Case("tile", (numbers(*shape),), {"reps": (1, *reps)}))


@some
@given(mode=st.sampled_from(["constant", "edge", "reflect"]), shape=maps, widths=st.lists(
    st.integers(0, 3), min_size=4, max_size=4))  # fmt: skip
def test_padding_when_widths_are_drawn_then_it_equals_mxnet(mode, shape, widths):
    assume(mode != "reflect" or max(widths) < min(shape[2:]))
    compare(Case("Pad", (numbers(*shape),), {"mode": mode, "pad_width": (0, 0, 0, 0, *widths), "constant_value": 0.5}))


@some
@given(parts=st.integers(1, 4), each=st.integers(1, 3), axis=st.integers(1, 2), flat=st.booleans())
def test_splitting_when_drawn_then_it_equals_mxnet(parts, each, axis, flat):
    shape = [2, 4, 4]
    shape[axis] = parts * each
    assume(not flat or each == 1)
    compare(Case("SliceChannel", (numbers(*shape),), {"num_outputs": parts, "axis": axis, "squeeze_axis": flat}))


@some
@given(rows=st.integers(1, 8), width=side, index=shapes, axis=st.integers(0, 1), mode=st.sampled_from(["clip", "wrap"]))
def test_looking_up_when_drawn_then_it_equals_mxnet(rows, width, index, axis, mode):
    compare(
        Case("Embedding", (whole(rows, *index), numbers(rows, width)), {"input_dim": rows, "output_dim": width}, (1,))
    )
    compare(Case("one_hot", (whole(rows, *index),), {"depth": rows}))
    data = numbers(3, rows, width)
    compare(Case("pick", (data, whole(rows, 3, width)), {"axis": 1}))
    if axis == 0:
        compare(Case("take", (numbers(rows, width), whole(rows + 2, *index)), {"mode": mode}, (0,)))
    else:
        compare(Case("take", (data, whole(rows, 4)), {"axis": 1}, (1,)))


@some
@given(shape=st.tuples(st.integers(1, 3), st.integers(2, 7)), kind=st.sampled_from(["value", "indices", "both"]),
       k=st.integers(0, 7), ascending=st.booleans(), op=st.sampled_from(["topk", "sort", "argsort"]))  # fmt: skip
def test_ordering_when_drawn_then_it_equals_mxnet(shape, kind, k, ascending, op):
    data = np.random.default_rng(k).permutation(shape[0] * shape[1]).reshape(shape).astype(np.float32)
    assume(k <= shape[1])
    attrs = {"k": k, "ret_typ": kind} if op == "topk" else {}
    compare(Case(op, (data,), {**attrs, "axis": 1, "is_ascend": ascending}))


@some
@given(pooled=st.tuples(st.integers(1, 4), st.integers(1, 4)), scale=st.sampled_from([0.125, 0.25, 1.0]),
       ratio=st.integers(-1, 3), aligned=st.booleans())  # fmt: skip
def test_roi_align_when_attributes_are_drawn_then_it_equals_mxnet(pooled, scale, ratio, aligned):
    random = np.random.default_rng(ratio + 5)
    corner = random.uniform(0, 12, (5, 2))
    regions = np.concatenate([whole(2, 5, 1), corner, corner + random.uniform(1, 12, (5, 2))], 1).astype(np.float32)
    attrs = {"pooled_size": pooled, "spatial_scale": scale, "sample_ratio": ratio, "aligned": aligned}
    compare(Case("_contrib_ROIAlign", (numbers(2, 3, 16, 20), regions), attrs, dynamic=False))


@some
@given(form=st.sampled_from(["corner", "center"]), clip=st.sampled_from([-1.0, 0.5, 2.0]), std=st.floats(0.05, 1),
       count=st.integers(1, 12))  # fmt: skip
def test_box_decode_when_attributes_are_drawn_then_it_equals_mxnet(form, clip, std, count):
    anchors = np.sort(numbers(1, count, 4) * 20 + 50, axis=2)
    attrs = {"format": form, "clip": clip, **{f"std{i}": std for i in range(4)}}
    compare(Case("_contrib_box_decode", (numbers(2, count, 4), anchors), attrs, (1,)))


@some
@given(sizes=st.lists(st.floats(0.1, 0.9), min_size=1, max_size=3), ratios=st.lists(st.floats(0.4, 2.5), min_size=1,
       max_size=3), clip=st.booleans(), size=st.tuples(side, side))  # fmt: skip
def test_multibox_prior_when_drawn_then_it_equals_mxnet(sizes, ratios, clip, size):
    attrs = {"sizes": tuple(sizes), "ratios": tuple(ratios), "clip": clip}
    compare(Case("_contrib_MultiBoxPrior", (numbers(1, 3, *size),), attrs, dynamic=False))


@some
@given(kernel=st.integers(1, 3), stride=st.integers(1, 2), pad=st.integers(0, 1), groups=st.sampled_from([1, 2]),
       modulated=st.booleans(), size=st.integers(5, 8))  # fmt: skip
def test_deformable_convolution_when_drawn_then_it_equals_mxnet(kernel, stride, pad, groups, modulated, size):
    out = (size + 2 * pad - kernel) // stride + 1
    taps = groups * kernel * kernel
    inputs = (
        numbers(2, 4, size, size), numbers(2, 2 * taps, out, out), *([within(2, taps, out, out)] if modulated else []),
        numbers(6, 4, kernel, kernel), numbers(6),
    )  # fmt: skip
    attrs = {
        "kernel": (kernel, kernel), "stride": (stride, stride), "pad": (pad, pad), "num_filter": 6,
        "num_deformable_group": groups,
    }  # fmt: skip
    op = f"_contrib_{'Modulated' if modulated else ''}DeformableConvolution"
    compare(Case(op, inputs, attrs, (len(inputs) - 2, len(inputs) - 1)))


@some
@given(scale=st.integers(1, 4), shape=maps)
def test_upsampling_when_drawn_then_it_equals_mxnet(scale, shape):
    compare(Case("UpSampling", (numbers(*shape),), {"scale": scale, "sample_type": "nearest", "num_args": 1}))
