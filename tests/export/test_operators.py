"""Every operator against MXNet."""

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import CASES
from operator_cases.drawn import X, boxes, normal
from operator_runs import Case, by_mxnet, by_onnx, check

from export.build import Builder
from export.errors import ExportError, UnsupportedError
from export.graph import Graph, Node, Ref
from export.heads import pyramid
from export.ops import converts, registered
from export.run_onnx import run_model
from export.translate import walk


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_when_converted_then_equals_mxnet(case):
    check(case)


def test_registry_when_compared_with_cases_then_nothing_is_untested():
    assert {op for op in registered() if op != pyramid.OPERATOR} == {case.op for case in CASES}


@pytest.mark.parametrize("masked", [False, True])
def test_pyramid_when_levels_are_dispatched_then_each_region_is_aligned_on_its_own(masked):
    maps = [normal(1, 3, size, size) for size in (32, 16, 8)]
    scales = ("0.5", "0.25", "0.125")
    # One region is of no level at all and gives zeros.
    level = np.float32([0, 2, 1, 1, 0, 2, 5, 1, 0])
    regions = np.concatenate([np.zeros((9, 1)), boxes(9)], 1).astype(np.float32)
    attrs = {"pooled_size": "(2, 3)", "sample_ratio": "2"}
    every = [
        by_mxnet(Case("_contrib_ROIAlign", (data, regions), {**attrs, "spatial_scale": scale}))[0]
        for data, scale in zip(maps, scales, strict=True)
    ]
    expected = np.stack([every[int(n)][i] if n < 3 else np.zeros((3, 2, 3)) for i, n in enumerate(level)])

    nodes = [Node("null", name) for name in ("level", "regions", "m0", "m1", "m2")]

    def add(op, inputs, **values):
        nodes.append(Node(op, f"n{len(nodes)}", tuple(Ref(i, 0) for i in inputs), values))
        return len(nodes) - 1

    terms = []
    for number, scale in enumerate(scales):
        equal = add("_equal_scalar", [0], scalar=str(number))
        if masked:
            chosen = add("where", [equal, 1, add("_mul_scalar", [add("ones_like", [1])], scalar="-1.0")])
            terms.append(add("_contrib_ROIAlign", [2 + number, chosen], **attrs, spatial_scale=scale))
        else:
            aligned = add("_contrib_ROIAlign", [2 + number, 1], **attrs, spatial_scale=scale)
            terms.append(add("where", [equal, aligned, add("zeros_like", [aligned])]))
    total = add("add_n", terms, num_args="3")
    graph = Graph(tuple(nodes), (Ref(total, 0),), {})
    dispatched = pyramid.dispatch_levels(graph)
    assert dispatched.nodes[-1].op == pyramid.OPERATOR
    feeds = {"level": level, "regions": regions, **{f"m{i}": array for i, array in enumerate(maps)}}
    for each in (graph, dispatched):
        builder = Builder()
        values = {name: builder.input(name, np.float32, (array.shape, array.shape)) for name, array in feeds.items()}
        builder.output(walk(builder, each, values).values[each.heads[0]], "found")
        builder.program.prune()
        found = run_model(builder.program.to_model(), feeds)["found"]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_registry_when_an_operator_is_registered_twice_then_it_refuses():
    with pytest.raises(ValueError, match="Convolution is registered twice"):
        converts("Convolution")(lambda _builder, inputs, _attrs: inputs[0])


@pytest.mark.parametrize(("target", "pad", "adj"), [("(18, 22)", 1, "(0, 0)"), ("(17, 21)", 2, "(1, 1)")])
def test_deconvolution_when_a_target_shape_is_given_then_padding_follows_from_it(target, pad, adj):
    # MXNet's own CPU kernel cannot run target_shape, so the same layer is written with the padding it stands for.
    weight = normal(4, 6, 4, 4)
    common = {"kernel": "(4, 4)", "num_filter": 6, "stride": "(2, 2)"}
    explicit = {**common, "pad": f"({pad}, {pad})", "adj": adj}
    expected = by_mxnet(Case("Deconvolution", (X, weight), explicit, (1,)))[0]
    actual = by_onnx(Case("Deconvolution", (X, weight), {**common, "target_shape": target}, (1,)))[0]
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case("NoSuchOperator", (X,)), ["NoSuchOperator", "'it'", "docs/add-an-operator.md"]),
        (
            Case("RNN", (normal(5, 2, 3), normal(99), normal(1, 2, 3)), {"mode": "lstm", "projection_size": 3}),
            ["RNN", "'it'", "projection_size='3'"],
        ),
        (Case("SequenceLast", (X, normal(3)), {"use_sequence_length": "True"}), ["use_sequence_length='True'"]),
        (Case("_contrib_MultiBoxPrior", (X,), {"ratios": "(1, -2)"}), ["ratios='(1, -2)'", "positive"]),
        (Case("Activation", (X,), {"act_type": "mish"}), ["Activation", "'it'", "act_type='mish'", "relu"]),
        (Case("Pooling", (X,), {"kernel": "(2, 2)", "pooling_convention": "same"}), ["pooling_convention='same'"]),
        (Case("Pooling", (X,), {"kernel": "(2, 2)", "surprise": "1"}), ["surprise='1'", "does not know"]),
        (Case("softmax", (X,), {"temperature": 2.0}), ["temperature='2.0'"]),
        (Case("Convolution", (X, normal(6, 4, 3, 3)), {"kernel": "(3, x)", "num_filter": 6}), ["kernel='(3, x)'"]),
        (Case("Convolution", (X, normal(6, 4, 3, 3)), {"num_filter": 6}), ["kernel=None", "required"]),
        (Case("SoftmaxActivation", (X,)), ["oneDNN"]),
        (Case("Reshape", (X,), {"shape": "(0, 7)"}), ["shape='(0, 7)'"]),
    ],
    ids=lambda value: str(value) if isinstance(value, Case) else "",
)
def test_operator_when_something_is_unknown_then_the_error_names_it(case, words):
    with pytest.raises(UnsupportedError) as caught:
        by_onnx(case)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.op == case.op
    assert caught.value.node == "it"


def test_recurrent_when_its_sizes_are_absurd_then_it_is_refused_before_anything_is_made():
    attrs = {"mode": "gru", "state_size": 9**12, "num_layers": 9**9}
    with pytest.raises(ExportError, match="elements, more than"):
        by_onnx(Case("RNN", (normal(5, 2, 3), normal(99), normal(1, 2, 3)), attrs))
