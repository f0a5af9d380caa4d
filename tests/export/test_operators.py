"""Every operator against MXNet."""

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import CASES, X, normal
from operator_runs import Case, by_mxnet, by_onnx, check

from export.errors import UnsupportedError
from export.ops import converts, registered


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_when_converted_then_equals_mxnet(case):
    check(case)


def test_registry_when_compared_with_cases_then_nothing_is_untested():
    assert registered() == {case.op for case in CASES}


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
