"""Activations, dropout, softmax and the losses that act as identity or softmax at inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import axis_of, reshape
from export.ops.registry import converts

__all__ = ["softmax_axis"]

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}


@converts("Activation")
def activation(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`act_type` names it."""
    return b.op(_ACTIVATIONS[attrs.choice("act_type", _ACTIVATIONS)], inputs[0])


@converts("LeakyReLU")
def leaky_relu(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The family of leaky activations; `slope` defaults to 0.25, `rrelu` is its mean slope at inference."""
    x = inputs[0]
    kind = attrs.choice("act_type", {"leaky", "elu", "selu", "gelu", "prelu", "rrelu"}, "leaky")
    slope = attrs.number("slope", 0.25)
    lower, upper = attrs.number("lower_bound", 0.125), attrs.number("upper_bound", 0.334)
    if kind == "prelu":
        return _prelu(b, x, inputs[1])
    if kind == "elu":
        return b.op("Elu", x, alpha=slope)
    if kind == "selu":
        return b.op("Selu", x)
    if kind == "gelu":
        half = b.op("Mul", x, np.float32(0.5))
        return b.op("Mul", half, b.op("Add", b.op("Erf", b.op("Mul", x, np.float32(0.5**0.5))), np.float32(1)))
    return b.op("LeakyRelu", x, alpha=slope if kind == "leaky" else (lower + upper) / 2)


def _prelu(b: Builder, x: Value, slope: Value) -> Value:
    if slope.rank == 1 and x.rank > 1 and slope.shape[0] != 1:
        shape = (slope.shape[0],) + (1,) * (x.rank - 2)
        slope = reshape(b, slope, (shape, shape))
    return b.op("PRelu", x, slope)


@converts("Dropout", "BlockGrad", "_copy", "identity", "MakeLoss", "make_loss", "_np_copy")
def identity(_: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Nothing happens at inference; `Dropout(mode='always')` would."""
    attrs.choice("mode", {"training"}, "training")
    attrs.ignore(*attrs.as_dict())
    return inputs[0]


@converts("LinearRegressionOutput", "MAERegressionOutput", "SVMOutput")
def regression_output(_: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """A loss: the prediction passes through."""
    attrs.ignore("grad_scale", "margin", "regularization_coefficient", "use_linear")
    return inputs[0]


@converts("LogisticRegressionOutput")
def logistic_output(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """A loss whose prediction goes through a sigmoid."""
    attrs.ignore("grad_scale")
    return b.op("Sigmoid", inputs[0])


def softmax_axis(inputs: Sequence[Value], attrs: Attrs) -> int:
    """Along which axis; what is not a plain softmax is refused."""
    attrs.choice("use_length", {"False", "None"}, "False")
    attrs.choice("dtype", {"None", "float32"}, "None")
    attrs.choice("temperature", {"None", "1", "1.0"}, "None")
    return axis_of(attrs.integer("axis", -1), inputs[0].rank)


@converts("softmax")
def softmax(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Along `axis`, by default the last one; `length` masks and temperatures other than one are refused."""
    return b.op("Softmax", inputs[0], axis=softmax_axis(inputs, attrs))


@converts("log_softmax")
def log_softmax(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """As `softmax`, its logarithm."""
    return b.op("LogSoftmax", inputs[0], axis=softmax_axis(inputs, attrs))


@converts("softmin")
def softmin(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The softmax of the negated input."""
    axis = softmax_axis(inputs, attrs)
    return b.op("Softmax", b.op("Neg", inputs[0]), axis=axis)


@converts("SoftmaxOutput", "Softmax")
def softmax_output(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The loss of Module training: a softmax over axis 1 (`multi_output`) or over the last one."""
    attrs.ignore("grad_scale", "ignore_label", "use_ignore", "normalization", "out_grad", "smooth_alpha")
    x = inputs[0]
    if attrs.boolean("multi_output", default=False):
        return b.op("Softmax", x, axis=1)
    if attrs.boolean("preserve_shape", default=False) or x.rank <= 2:
        return b.op("Softmax", x, axis=x.rank - 1)
    raise attrs.refuse(f"over everything of {x.dims} but the batch; MXNet itself disagrees with and without oneDNN")


@converts("SoftmaxActivation")
def softmax_activation(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Over the channels (`mode=channel`), or over the only axis behind the batch."""
    x = inputs[0]
    if attrs.choice("mode", {"instance", "channel"}, "instance") == "channel" or x.rank == 2:
        return b.op("Softmax", x, axis=1)
    raise attrs.refuse(f"over everything of {x.dims} but the batch; MXNet itself disagrees with and without oneDNN")


@converts("hard_sigmoid")
def hard_sigmoid(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """clip(alpha x + beta, 0, 1); alpha defaults to 0.2, beta to 0.5."""
    return b.op("HardSigmoid", inputs[0], alpha=attrs.number("alpha", 0.2), beta=attrs.number("beta", 0.5))
