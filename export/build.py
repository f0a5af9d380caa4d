"""Emitting ONNX operations one by one, each value knowing its type, its shape and, when it is constant, its content.

Shapes are inferred twice, with one image and with two: a dimension that differs follows the batch. An operation whose
inputs are all constant is evaluated at once and never emitted, so that anchors, grids and `arange`s become constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx
from onnx import TypeProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from export.errors import ExportError
from export.graph import Array
from export.program import Dim, Op, Program, Tensor

__all__ = ["UNKNOWN", "Builder", "Shape", "Value", "affordable"]

UNKNOWN: Final = -1
Shape = tuple[int, ...]

# Shape operands are small; larger constants do not decide shapes and are not worth copying into protobuf.
_MAX_SHAPE_OPERAND: Final = 64
# Constants that are computed: anchors and grids have some ten thousand elements.
_MAX_CONSTANT: Final = 1 << 26
_GROWING: Final = {"Tile", "Expand", "Pad", "Resize", "Range", "ConstantOfShape", "Gather", "GatherND", "OneHot"}


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the program: `shapes` holds its shape at batch 1 and at batch 2, -1 where only the data decide."""

    name: str
    dtype: np.dtype[Any]
    shapes: tuple[Shape, Shape]
    array: Array | None = None

    @property
    def shape(self) -> Shape:
        """The shape at batch 1."""
        return self.shapes[0]

    @property
    def rank(self) -> int:
        """How many dimensions there are."""
        return len(self.shapes[0])

    @property
    def follows_batch(self) -> bool:
        """Whether any dimension grows with the batch."""
        return self.shapes[0] != self.shapes[1]

    @property
    def dims(self) -> tuple[Dim, ...]:
        """For a reader: numbers, `N` for the batch, `<n>N` for what is a multiple of it, `?` for the unknown."""
        return tuple(_dim(one, two) for one, two in zip(*self.shapes, strict=True))


def affordable(*dims: int) -> None:
    """Refuse a constant that no net needs, before it is made: its size may come from a damaged or hostile file.

    Raises:
        ExportError: the product of the dimensions is too large.
    """
    elements = math.prod(max(dim, 1) for dim in dims)
    if elements > _MAX_CONSTANT:
        raise ExportError(f"a constant of {elements} elements, more than the {_MAX_CONSTANT} that are accepted")


def _dim(one: int, two: int) -> Dim:
    if one == UNKNOWN:
        return "?"
    if one == two:
        return one
    return "N" if (one, two) == (1, 2) else f"{one}N"


Operand = Value | Array | np.generic | None


class Builder:
    """Owns a program while it grows."""

    def __init__(self, *, opset: int = 17) -> None:
        self.program = Program(opset=opset)
        self._names: set[str] = set()
        self._op_names: set[str] = set()
        self._scope = ""
        self._opset_imports = [helper.make_opsetid("", opset)]
        self._batch: Value | None = None

    def input(self, name: str, dtype: Any, shapes: tuple[Shape, Shape]) -> Value:
        """Declare an input of the program; the first one whose first dimension follows the batch gives its size."""
        value = Value(self._unique(name), np.dtype(dtype), shapes)
        self.program.inputs.append(Tensor(value.name, value.dtype, value.dims))
        if self._batch is None and shapes[0] and shapes[0][0] != shapes[1][0]:
            self._batch = value
        return value

    def output(self, value: Value, name: str) -> None:
        """Declare an output of the program under this name, numbered when another value bears it already."""
        if name in self._names and value.name != name:
            name = self._unique(name)
        if value.array is not None or value.name != name:
            self._names.add(name)
            source = self.materialize(value)
            self.program.ops.append(Op("Identity", self._unique_op(name), [source], [name]))
        self.program.outputs.append(Tensor(name, value.dtype, value.dims))

    def constant(self, array: Any, dtype: Any = None) -> Value:
        """A constant; it enters the program when something emitted reads it."""
        content = np.asarray(array, dtype=dtype)
        return Value("", content.dtype, (content.shape, content.shape), content)

    def weight(self, name: str, array: Array) -> Value:
        """A constant that keeps its MXNet name."""
        return Value(self._unique(name), array.dtype, (array.shape, array.shape), array)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Name what is emitted inside after this node."""
        before, self._scope = self._scope, name
        try:
            yield
        finally:
            self._scope = before

    def op(self, kind: str, *operands: Operand, **attrs: Any) -> Value:
        """Emit one operation with one output, or evaluate it when all operands are constant."""
        return self.ops(kind, *operands, count=1, **attrs)[0]

    def ops(self, kind: str, *operands: Operand, count: int, **attrs: Any) -> tuple[Value, ...]:
        """Emit one operation with several outputs, or evaluate it when all operands are constant."""
        values = [self._as_value(operand) for operand in operands]
        attrs = {key: value for key, value in attrs.items() if value is not None}
        if all(value is None or value.array is not None for value in values):
            self._refuse_giants(kind, values, count, attrs)
            arrays = self._evaluate(kind, [None if value is None else value.array for value in values], count, attrs)
            return tuple(self.constant(array) for array in arrays)
        inputs = ["" if value is None else self.materialize(value) for value in values]
        base = f"{self._scope}/{kind}" if self._scope else kind
        op_name = self._unique_op(base)
        names = [self._unique(f"{op_name}_output{index or ''}") for index in range(count)]
        node = helper.make_node(kind, inputs, names, name=op_name, **attrs)
        types = [self._infer(node, values, batch) for batch in (0, 1)]
        self.program.ops.append(Op(kind, op_name, inputs, names, attrs))
        return tuple(
            Value(name, helper.tensor_dtype_to_np_dtype(one.tensor_type.elem_type), (_shape(one), _shape(two)))
            for name, one, two in zip(names, *types, strict=True)
        )

    def materialize(self, value: Value) -> str:
        """The name under which an operation reads a value, entering it into the constants when it is one."""
        if value.array is None:
            return value.name
        name = value.name or self._unique(f"{self._scope}/const" if self._scope else "const")
        self.program.constants[name] = value.array
        return name

    def rename_last(self, values: Sequence[Value], since: int, names: Sequence[str], op_name: str) -> list[Value]:
        """Give the results of the operations emitted since position `since` their lasting names."""
        emitted = self.program.ops[since:]
        made = {name: op for op in emitted for name in op.outputs}
        renamed: list[Value] = []
        for value, wanted in zip(values, names, strict=True):
            if value.name not in made or value.array is not None:
                renamed.append(value)
                continue
            new = self._unique(wanted)
            for op in emitted:
                op.inputs = [new if name == value.name else name for name in op.inputs]
                op.outputs = [new if name == value.name else name for name in op.outputs]
            renamed.append(replace(value, name=new))
        last = next((op for op in reversed(emitted) if set(op.outputs) & {value.name for value in renamed}), None)
        if last is not None:
            last.name = self._unique_op(op_name)
        return renamed

    def batch_size(self) -> Value:
        """The number of images, int64 [1]; one where the batch is fixed."""
        if self._batch is None:
            return self.constant([1], np.int64)
        return self.op("Shape", self._batch, start=0, end=1)

    def sizes(self, shapes: tuple[Shape, Shape]) -> Value:
        """A shape as int64 vector: constant where it is, computed from the batch size where it follows that."""
        if shapes[0] == shapes[1]:
            return self.constant(shapes[0], np.int64)
        one, two = (np.asarray(shape, np.int64) for shape in shapes)
        slope, offset = two - one, one - (two - one)
        scaled = self.op("Mul", self.batch_size(), slope)
        return self.op("Add", scaled, offset) if offset.any() else scaled

    def _as_value(self, operand: Operand) -> Value | None:
        if operand is None or isinstance(operand, Value):
            return operand
        return self.constant(operand)

    def _unique(self, wanted: str) -> str:
        return _claim(self._names, wanted)

    def _unique_op(self, wanted: str) -> str:
        return _claim(self._op_names, wanted)

    def _evaluate(self, kind: str, arrays: list[Array | None], count: int, attrs: dict[str, Any]) -> list[Array]:
        inputs = [f"i{index}" if array is not None else "" for index, array in enumerate(arrays)]
        outputs = [f"o{index}" for index in range(count)]
        feeds = {name: array for name, array in zip(inputs, arrays, strict=True) if array is not None}
        graph = helper.make_graph(
            [helper.make_node(kind, inputs, outputs, **attrs)],
            "constant",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                for name, array in feeds.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in outputs],
        )
        model = helper.make_model(graph, opset_imports=self._opset_imports)
        with np.errstate(all="ignore"):
            return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]

    def _refuse_giants(self, kind: str, values: list[Value | None], count: int, attrs: dict[str, Any]) -> None:
        """An operation that makes much out of little is not evaluated before its size is known."""
        if kind not in _GROWING:
            return
        names = [f"i{index}" if value is not None else "" for index, value in enumerate(values)]
        node = helper.make_node(kind, names, [f"o{index}" for index in range(count)], **attrs)
        for found in self._infer(node, values, 0):
            affordable(*_shape(found))

    def _infer(self, node: onnx.NodeProto, values: Sequence[Value | None], batch: int) -> list[TypeProto]:
        types: dict[str, TypeProto] = {}
        data: dict[str, onnx.TensorProto] = {}
        for name, value in zip(node.input, values, strict=True):
            if value is None:
                continue
            dims = [f"?{name}{axis}" if dim == UNKNOWN else dim for axis, dim in enumerate(value.shapes[batch])]
            types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), dims)
            if value.array is not None and value.array.size <= _MAX_SHAPE_OPERAND:
                data[name] = numpy_helper.from_array(value.array, name)
        schema = defs.get_schema(node.op_type, self.program.opset, "")
        try:
            found = shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=self._opset_imports)
        except Exception as exc:
            # onnx raises bare exceptions of its own here; where we are is what helps.
            raise ExportError(
                f"node {self._scope!r}: {node.op_type} does not fit its inputs: {exc}; is the input of the size that "
                "the net was made for?"
            ) from exc
        return [found[name] for name in node.output if name]


def _shape(kind: TypeProto) -> Shape:
    return tuple(dim.dim_value if dim.HasField("dim_value") else UNKNOWN for dim in kind.tensor_type.shape.dim)


def _claim(used: set[str], wanted: str) -> str:
    name, number = wanted, 1
    while name in used:
        name, number = f"{wanted}_{number}", number + 1
    used.add(name)
    return name
