"""Operators with large attribute spaces, drawn at random: MXNet is asked first, and what it accepts must be equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from operator_runs import Case, by_mxnet, by_onnx

from export.errors import UnsupportedError
from export.ops.reshape_codes import reshaped
from export.zoo.runtime import mxnet

some = settings(max_examples=25, deadline=None, derandomize=True)
pair = st.tuples


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)


def compare(case: Case) -> None:
    """Equal to MXNet wherever MXNet accepts the case and the converter does not refuse it by name."""
    try:
        expected = by_mxnet(case)
    except mxnet().MXNetError:
        assume(False)
    try:
        actual = by_onnx(case, len(expected))
    except UnsupportedError:
        assume(False)
    for one, two in zip(actual, expected, strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=2e-5, rtol=1e-4)


two = st.tuples(st.integers(1, 3), st.integers(1, 3))


@some
@given(
    kernel=two,
    stride=two,
    dilate=two,
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    group=st.sampled_from([1, 2, 4]),
    biased=st.booleans(),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
)
def test_convolution_when_attributes_are_drawn_then_it_equals_mxnet(kernel, stride, dilate, pad, group, biased, size):
    attrs = {
        "kernel": kernel, "stride": stride, "dilate": dilate, "pad": pad, "num_group": group, "num_filter": 8,
        "no_bias": not biased,
    }  # fmt: skip
    inputs = (numbers(2, 4, *size), numbers(8, 4 // group, *kernel), *([numbers(8)] if biased else []))
    compare(Case("Convolution", inputs, attrs, tuple(range(1, len(inputs)))))


@some
@given(
    kernel=two,
    stride=two,
    pad=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    adj=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    group=st.sampled_from([1, 2]),
)
def test_deconvolution_when_attributes_are_drawn_then_it_equals_mxnet(kernel, stride, pad, adj, group):
    attrs = {"kernel": kernel, "stride": stride, "pad": pad, "adj": adj, "num_group": group, "num_filter": 6}
    compare(Case("Deconvolution", (numbers(2, 4, 5, 6), numbers(4, 6 // group, *kernel)), attrs, (1,)))


@some
@given(
    kind=st.sampled_from(["max", "avg", "sum"]),
    kernel=two,
    stride=two,
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    convention=st.sampled_from(["valid", "full"]),
    counts=st.booleans(),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
)
def test_pooling_when_attributes_are_drawn_then_it_equals_mxnet(kind, kernel, stride, pad, convention, counts, size):
    assume(all(p < k for p, k in zip(pad, kernel, strict=True)))
    attrs = {
        "pool_type": kind, "kernel": kernel, "stride": stride, "pad": pad, "pooling_convention": convention,
        "count_include_pad": counts,
    }  # fmt: skip
    compare(Case("Pooling", (numbers(2, 3, *size),), attrs))


@some
@given(
    axis=st.integers(-3, 2),
    begin=st.integers(-4, 4),
    end=st.none() | st.integers(-4, 5),
)
def test_slice_axis_when_attributes_are_drawn_then_it_equals_mxnet(axis, begin, end):
    assume(axis not in {0, -3})
    compare(Case("slice_axis", (numbers(2, 5, 6),), {"axis": axis, "begin": begin, "end": end}))


@some
@given(
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    out=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    aligned=st.booleans(),
)
def test_bilinear_resize_when_sizes_are_drawn_then_it_equals_mxnet(size, out, aligned):
    attrs = {"height": out[0], "width": out[1], "align_corners": aligned}
    compare(Case("_contrib_BilinearResize2D", (numbers(2, 3, *size),), attrs))


@some
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), out=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_adaptive_pooling_when_sizes_are_drawn_then_it_equals_mxnet(size, out):
    compare(Case("_contrib_AdaptiveAvgPooling2D", (numbers(2, 3, *size),), {"output_size": out}))


@some
@given(
    scores=st.lists(st.integers(0, 9), min_size=12, max_size=12),
    ids=st.lists(st.integers(-1, 2), min_size=12, max_size=12),
    topk=st.integers(-1, 12),
    overlap=st.floats(0.1, 0.9),
    valid=st.floats(0, 0.5),
    force=st.booleans(),
)
def test_box_nms_when_scores_tie_then_rows_and_order_equal_mxnet(scores, ids, topk, overlap, valid, force):
    random = np.random.default_rng(len(set(scores)))
    corner = random.uniform(0, 20, (12, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 20, (12, 2))], 1)
    rows = np.concatenate([np.asarray(ids)[:, None], np.asarray(scores)[:, None] / 9, boxes], 1)
    data = np.stack([rows, rows[::-1]]).astype(np.float32)
    attrs = {
        "overlap_thresh": overlap, "valid_thresh": valid, "topk": topk, "id_index": 0, "force_suppress": force,
    }  # fmt: skip
    compare(Case("_contrib_box_nms", (data,), attrs))


@some
@given(st.lists(st.sampled_from([0, -1, -2, -3, 1, 2, 3, 4, 6]), min_size=1, max_size=4))
def test_reshape_when_codes_are_drawn_then_shapes_equal_mxnet(codes):
    data = numbers(2, 3, 4)
    # After -2 MXNet itself takes the wrong dimension, and aborts the whole process when the sizes differ then.
    assume(-2 not in codes or set(codes[codes.index(-2) + 1 :]) <= {1})
    try:
        found = reshaped(data.shape, tuple(codes))
    except ValueError:
        return  # on some of these it aborts as well
    assert by_mxnet(Case("Reshape", (data,), {"shape": tuple(codes)}))[0].shape == found


@pytest.mark.parametrize("codes", [(0, 7), (-3, -3, -3), (-4, 5, 2), (-1, -1), (-9,)])
def test_reshape_when_codes_cannot_fit_then_it_says_so(codes):
    with pytest.raises(ValueError, match=r"fit|dimension|split|more than one|unknown"):
        reshaped((2, 3, 4), codes)
