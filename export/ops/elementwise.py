"""Arithmetic and comparison, element by element; MXNet's comparisons give numbers, not booleans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import cast, scalar
from export.ops.registry import Converter, converts

__all__ = ["COMPARISONS", "comparison"]

_ARITHMETIC = {
    "elemwise_add": "Add", "broadcast_add": "Add", "_plus": "Add", "_Plus": "Add", "broadcast_plus": "Add",
    "elemwise_sub": "Sub", "broadcast_sub": "Sub", "_minus": "Sub", "_Minus": "Sub", "broadcast_minus": "Sub",
    "elemwise_mul": "Mul", "broadcast_mul": "Mul", "_mul": "Mul", "_Mul": "Mul",
    "elemwise_div": "Div", "broadcast_div": "Div", "_div": "Div", "_Div": "Div",
    "_power": "Pow", "broadcast_power": "Pow",
    "_maximum": "Max", "broadcast_maximum": "Max",
    "_minimum": "Min", "broadcast_minimum": "Min",
    "_npi_add": "Add", "_npi_subtract": "Sub", "_npi_multiply": "Mul", "_npi_true_divide": "Div", "_npi_power": "Pow",
}  # fmt: skip
COMPARISONS = {
    "equal": ("Equal", False),
    "not_equal": ("Equal", True),
    "greater": ("Greater", False),
    "greater_equal": ("GreaterOrEqual", False),
    "lesser": ("Less", False),
    "lesser_equal": ("LessOrEqual", False),
}
# name: (ONNX operation, whether the scalar stands first)
_SCALAR = {
    "_plus_scalar": ("Add", False), "_PlusScalar": ("Add", False),
    "_minus_scalar": ("Sub", False), "_MinusScalar": ("Sub", False),
    "_rminus_scalar": ("Sub", True), "_RMinusScalar": ("Sub", True),
    "_mul_scalar": ("Mul", False), "_MulScalar": ("Mul", False),
    "_div_scalar": ("Div", False), "_DivScalar": ("Div", False),
    "_rdiv_scalar": ("Div", True), "_RDivScalar": ("Div", True),
    "_power_scalar": ("Pow", False), "_PowerScalar": ("Pow", False), "_rpower_scalar": ("Pow", True),
    "_maximum_scalar": ("Max", False), "_MaximumScalar": ("Max", False),
    "_minimum_scalar": ("Min", False), "_MinimumScalar": ("Min", False),
    "_npi_add_scalar": ("Add", False), "_npi_subtract_scalar": ("Sub", False), "_npi_rsubtract_scalar": ("Sub", True),
    "_npi_multiply_scalar": ("Mul", False), "_npi_true_divide_scalar": ("Div", False),
    "_npi_rtrue_divide_scalar": ("Div", True), "_npi_power_scalar": ("Pow", False), "_npi_rpower_scalar": ("Pow", True),
}  # fmt: skip
_UNARY = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softsign": "Softsign",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs", "negative": "Neg", "sign": "Sign",
    "floor": "Floor", "ceil": "Ceil", "reciprocal": "Reciprocal", "erf": "Erf",
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "arcsinh": "Asinh", "arccosh": "Acosh", "arctanh": "Atanh", "rint": "Round",
}  # fmt: skip


def _binary(kind: str) -> Converter:
    def function(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
        del attrs
        return b.op(kind, *inputs)

    return function


def _unary(kind: str) -> Converter:
    def function(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
        del attrs
        return b.op(kind, inputs[0])

    return function


def _with_scalar(kind: str, *, first: bool) -> Converter:
    def function(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
        x = inputs[0]
        attrs.ignore("is_int")
        number = attrs.number("scalar", 1.0)
        if (kind == "Mul" and number == 1) or (kind == "Add" and number == 0):
            return x
        if kind == "Mul" and number == 0 and not x.follows_batch:
            # GluonCV multiplies by zero to borrow a shape; what is borrowed from does not matter.
            return b.constant(np.zeros(x.shape, x.dtype))
        constant = scalar(b, number, x)
        return b.op(kind, constant, x) if first else b.op(kind, x, constant)

    return function


def comparison(kind: str, *, inverted: bool, with_scalar: bool, boolean: bool = False) -> Converter:
    """What compares two tensors, or one with a number: 0 and 1 of the first one's type, or `boolean` as NumPy has it."""

    def function(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
        x = inputs[0]
        other = scalar(b, attrs.number("scalar", 1.0), x) if with_scalar else inputs[1]
        attrs.ignore("is_int")
        found = b.op(kind, x, other)
        found = b.op("Not", found) if inverted else found
        return found if boolean else cast(b, found, x.dtype)

    return function


for _name, _kind in _ARITHMETIC.items():
    converts(_name)(_binary(_kind))
for _name, _kind in _UNARY.items():
    # `erf`, `relu` and `sigmoid` are of `npx`; the first is the same operator there.
    _numpy = {"relu": ["_npx_relu"], "sigmoid": ["_npx_sigmoid"], "abs": ["_npi_absolute"], "softsign": [], "erf": []}
    converts(_name, *_numpy.get(_name, [f"_npi_{_name}"]))(_unary(_kind))
for _name, (_kind, _first) in _SCALAR.items():
    converts(_name)(_with_scalar(_kind, first=_first))
for _name, (_kind, _inverted) in COMPARISONS.items():
    converts(f"broadcast_{_name}", f"_{_name}")(comparison(_kind, inverted=_inverted, with_scalar=False))
    converts(f"_{_name}_scalar")(comparison(_kind, inverted=_inverted, with_scalar=True))


@converts("add_n", "ElementWiseSum")
def add_n(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The sum of all inputs."""
    del attrs
    return inputs[0] if len(inputs) == 1 else b.op("Sum", *inputs)


@converts("square", "_npi_square")
def square(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """X * x."""
    del attrs
    return b.op("Mul", inputs[0], inputs[0])


@converts("rsqrt")
def rsqrt(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """1 / sqrt(x)."""
    del attrs
    return b.op("Reciprocal", b.op("Sqrt", inputs[0]))


@converts("log2", "log10", "log1p", "expm1", *(f"_npi_{name}" for name in ("log2", "log10", "log1p", "expm1")))
def logarithm(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Logarithms and exponentials that ONNX spells with `Log` and `Exp`."""
    x, op = inputs[0], attrs.op.removeprefix("_npi_")
    if op == "expm1":
        return b.op("Sub", b.op("Exp", x), np.ones((), x.dtype))
    if op == "log1p":
        return b.op("Log", b.op("Add", x, np.ones((), x.dtype)))
    return b.op("Mul", b.op("Log", x), np.asarray(1 / np.log(2.0 if op == "log2" else 10.0), x.dtype))


@converts("round", "fix", "trunc", "_npi_fix", "_npi_trunc")
def rounding(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`round` goes away from zero at a half, unlike ONNX's `Round`; `fix` and `trunc` go towards zero."""
    x = inputs[0]
    size = b.op("Abs", x)
    whole = b.op("Floor", b.op("Add", size, np.asarray(0.5, x.dtype)) if attrs.op == "round" else size)
    return b.op("Mul", b.op("Sign", x), whole)


@converts("clip")
def clip(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Between `a_min` and `a_max`."""
    x = inputs[0]
    low, high = attrs.number("a_min"), attrs.number("a_max")
    return b.op("Clip", x, scalar(b, low, x), scalar(b, high, x))


@converts("_mod", "broadcast_mod", "_mod_scalar", "_rmod_scalar", "_npi_mod", "_npi_mod_scalar", "_npi_rmod_scalar")
def modulo(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The remainder with the sign of the divisor, as Python has it; ONNX's float `Mod` follows the dividend."""
    if "scalar" in attrs.op:
        number = scalar(b, attrs.number("scalar", 1.0), inputs[0])
        attrs.ignore("is_int")
        x, y = (number, inputs[0]) if "_rmod_" in attrs.op else (inputs[0], number)
    else:
        x, y = inputs
    if x.dtype.kind in "iu":
        return b.op("Mod", x, y)
    rest = b.op("Mod", x, y, fmod=1)
    crossed = b.op("Less", b.op("Mul", rest, y), np.zeros((), x.dtype))
    return b.op("Where", crossed, b.op("Add", rest, y), rest)


@converts("_hypot", "broadcast_hypot")
def hypot(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """sqrt(x^2 + y^2)."""
    del attrs
    x, y = inputs
    return b.op("Sqrt", b.op("Add", b.op("Mul", x, x), b.op("Mul", y, y)))


@converts("logical_not")
def logical_not(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """1 where the input is 0."""
    del attrs
    return cast(b, b.op("Equal", inputs[0], np.zeros((), inputs[0].dtype)), inputs[0].dtype)


@converts("broadcast_logical_and", "broadcast_logical_or", "broadcast_logical_xor")
def logical(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Numbers count as true unless they are 0."""
    kind = {"and": "And", "or": "Or", "xor": "Xor"}[attrs.op.rsplit("_", 1)[1]]
    one, two = (cast(b, value, np.bool_) for value in inputs)
    return cast(b, b.op(kind, one, two), inputs[0].dtype)


@converts("where")
def where(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Non-zero takes the second input, zero the third; a condition of one dimension chooses whole rows."""
    del attrs
    condition, yes, no = inputs
    condition = cast(b, condition, np.bool_)
    if condition.rank == 1 and yes.rank > 1:
        condition = b.op("Unsqueeze", condition, np.arange(1, yes.rank, dtype=np.int64))
    return b.op("Where", condition, yes, no)


@converts("Cast", "cast", "amp_cast")
def cast_(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """To `dtype`."""
    known = {"float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool"}
    return cast(b, inputs[0], np.dtype(attrs.choice("dtype", known)))


@converts("amp_multicast")
def amp_multicast(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Sequence[Value]:
    """All to the widest type among them, or the narrowest."""
    attrs.integer("num_outputs")
    pick = min if attrs.boolean("cast_narrow", default=False) else max
    dtype = pick((x.dtype for x in inputs), key=lambda dtype: dtype.itemsize)
    return [cast(b, x, dtype) for x in inputs]
