"""Operators that select, multiply or walk along sequences, on shapes and attributes drawn at random; see test_attribute_spaces."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from operator_cases.recurrent import MODES, layer
from operator_runs import Case
from test_attribute_spaces import compare, numbers
from test_shapes_drawn import maps, some, whole, within

side = st.integers(1, 5)


@some
@given(mode=st.sampled_from(sorted(MODES)), width=side, hidden=side, layers=st.integers(1, 3), directions=st.integers(1, 2),
       steps=side, batch=st.integers(1, 3), ends=st.booleans(), begun=st.booleans())  # fmt: skip
def test_recurrent_when_drawn_then_it_equals_mxnet(mode, width, hidden, layers, directions, steps, batch, ends, begun):
    begin = (lambda shape: numbers(*shape)) if begun else np.zeros
    case = layer(
        mode, MODES[mode], width=width, hidden=hidden, layers=layers, directions=directions, steps=steps, batch=batch,
        begin=begin, state_outputs=ends,
    )  # fmt: skip
    compare(case)


@some
@given(shape=maps, begin=st.tuples(*[st.none() | st.integers(-3, 3)] * 3), end=st.tuples(*[st.none() | st.integers(-3, 4)] * 3),
       step=st.tuples(*[st.none() | st.sampled_from([-2, -1, 1, 2])] * 3))  # fmt: skip
def test_slice_when_drawn_then_it_equals_mxnet(shape, begin, end, step):
    for size, *bounds in zip(shape[1:], begin, end, step, strict=True):
        assume(len(range(size)[slice(*bounds)]) > 0)
        assume(all(bound is None or -size <= bound <= size for bound in bounds[:2]))
    attrs = {name: (None, *values) for name, values in (("begin", begin), ("end", end), ("step", step))}
    compare(Case("slice", (numbers(*shape),), attrs))


@some
@given(
    sections=st.integers(1, 3), each=st.integers(1, 3), cuts=st.sets(st.integers(1, 5), max_size=3), flat=st.booleans()
)
def test_split_v2_when_drawn_then_it_equals_mxnet(sections, each, cuts, flat):
    squeezed = flat and each == 1
    attrs = {"axis": 1, "squeeze_axis": squeezed, "sections": sections, "indices": "()"}
    compare(Case("_split_v2", (numbers(3, sections * each, 2),), attrs))
    compare(Case("_split_v2", (numbers(3, 6, 2),), {"axis": 1, "indices": (0, *sorted(cuts))}))


@some
@given(size=st.tuples(side, side), at=st.tuples(st.integers(0, 2), st.integers(0, 2)), centred=st.booleans())
def test_cropping_when_drawn_then_it_equals_mxnet(size, at, centred):
    data, like = numbers(2, 3, 8, 9), numbers(2, 1, *size)
    assume(not centred or at == (0, 0))
    compare(Case("Crop", (data, like), {"num_args": 2, "offset": at, "center_crop": centred}))
    compare(Case("slice_like", (data, like), {"axes": (2, 3)}))


@some
@given(n=side, m=side, k=side, left=st.booleans(), right=st.booleans(), alpha=st.floats(0.25, 2))
def test_products_when_drawn_then_they_equal_mxnet(n, m, k, left, right, alpha):
    one, two = (k, n) if left else (n, k), (m, k) if right else (k, m)
    attrs = {"transpose_a": left, "transpose_b": right}
    compare(Case("batch_dot", (numbers(2, *one), numbers(2, *two)), attrs))
    compare(Case("_linalg_gemm2", (numbers(2, *one), numbers(2, *two)), {**attrs, "alpha": alpha}))
    compare(Case("dot", (numbers(n, k), numbers(*two)), {"transpose_b": right}, (1,)))


@some
@given(shape=maps, axis=st.integers(1, 3), order=st.sampled_from([1, 2]), keep=st.booleans())
def test_extremes_when_the_axis_is_drawn_then_they_equal_mxnet(shape, axis, order, keep):
    data = np.random.default_rng(axis).permutation(int(np.prod(shape))).reshape(shape).astype(np.float32)
    for op in ("argmax", "argmin"):
        compare(Case(op, (data,), {"axis": axis, "keepdims": keep}))
    compare(Case("norm", (numbers(*shape),), {"axis": axis, "ord": order, "keepdims": keep}))
    compare(Case("moments", (numbers(*shape),), {"axes": (axis,), "keepdims": keep}))
    compare(Case("cumsum", (numbers(*shape),), {"axis": axis}))


@some
@given(shape=maps, low=st.floats(-1, 0), high=st.floats(0, 1), size=side, block=st.integers(1, 3))
def test_choosing_when_drawn_then_it_equals_mxnet(shape, low, high, size, block):
    compare(Case("clip", (numbers(*shape),), {"a_min": low, "a_max": high}))
    compare(Case("where", (whole(2, *shape), numbers(*shape), within(*shape))))
    compare(Case("broadcast_axis", (numbers(3, 1, 2),), {"axis": 1, "size": size}))
    compare(Case("broadcast_to", (numbers(3, 1, 2),), {"shape": (0, size, 0)}))
    compare(Case("broadcast_like", (numbers(3, 1, 2), numbers(3, size, 2))))
    compare(Case("depth_to_space", (numbers(2, 2 * block**2, 3, 2),), {"block_size": block}))
    compare(Case("space_to_depth", (numbers(2, 2, 2 * block, 3 * block),), {"block_size": block}))


@some
@given(start=st.integers(-3, 3), length=st.integers(1, 9), step=st.sampled_from([0.5, 1, 2]), times=st.integers(1, 3))
def test_ranges_when_drawn_then_they_equal_mxnet(start, length, step, times):
    compare(Case("_arange", (), {"start": start, "stop": start + length * step, "step": step, "repeat": times}))


@some
@given(target=st.tuples(st.integers(2, 8), st.integers(2, 8)), moved=st.integers(0, 9))
def test_view_when_drawn_then_it_equals_mxnet(target, moved):
    matrix = np.float32([1, 0, 0, 0, 1, 0]) + np.random.default_rng(moved).normal(0, 0.2, (2, 6)).astype(np.float32)
    attrs = {"transform_type": "affine", "target_shape": target}
    compare(Case("GridGenerator", (matrix,), attrs))
    compare(Case("SpatialTransformer", (numbers(2, 3, 7, 9), matrix), {**attrs, "sampler_type": "bilinear"}))


@settings(some, max_examples=20)
@given(op=st.sampled_from(["_npi_mean", "_np_sum", "_np_max", "_np_min", "_np_prod", "_npi_var", "_npi_std"]), shape=maps,
       axes=st.sets(st.integers(1, 3), min_size=1, max_size=2), keep=st.booleans())  # fmt: skip
def test_numpy_reduction_when_axes_are_drawn_then_it_equals_mxnet(op, shape, axes, keep):
    compare(Case(op, (within(*shape),), {"axis": tuple(axes), "keepdims": keep}))


@some
@given(threshold=st.floats(0.05, 0.6), overlap=st.floats(0.2, 0.8), limit=st.integers(-1, 12), force=st.booleans(),
       clip=st.booleans(), seed=st.integers(0, 99))  # fmt: skip
def test_multibox_detection_when_drawn_then_it_equals_mxnet(threshold, overlap, limit, force, clip, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.6, (1, 12, 2))
    anchors = np.concatenate([corner, corner + rng.uniform(0.1, 0.4, (1, 12, 2))], 2).astype(np.float32)
    classes = rng.dirichlet(np.ones(4), (2, 12)).transpose(0, 2, 1).astype(np.float32)
    offsets = rng.normal(0, 1, (2, 48)).astype(np.float32)
    attrs = {
        "threshold": threshold, "nms_threshold": overlap, "nms_topk": limit, "force_suppress": force, "clip": clip,
    }  # fmt: skip
    compare(Case("_contrib_MultiBoxDetection", (classes, offsets, anchors), attrs, (2,)))
