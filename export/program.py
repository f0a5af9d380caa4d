"""The ONNX side while it is being made: operations, constants as numpy arrays, inputs and outputs.

Passes rewrite a `Program`; protobuf comes in only at the end, so that weights exist once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.graph import Array

__all__ = ["IR_VERSION", "Op", "Program", "Tensor"]

# The oldest that speaks opset 17 to 19, so that old runtimes on devices load the file.
IR_VERSION: Final = 9

Dim = int | str


@dataclass(slots=True)
class Op:
    """One ONNX node."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A typed name: an input or an output of the whole program; a dimension is a number or a symbol such as `N`."""

    name: str
    dtype: np.dtype[Any]
    dims: tuple[Dim, ...]


@dataclass(slots=True)
class Program:
    """Operations in an order that runs, the constants they read, and the tensors that go in and come out."""

    ops: list[Op] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    opset: int = 17

    def readers(self) -> Counter[str]:
        """How often each value is read; being an output counts as once."""
        counts: Counter[str] = Counter(tensor.name for tensor in self.outputs)
        for op in self.ops:
            counts.update(name for name in op.inputs if name)
        return counts

    def producers(self) -> dict[str, Op]:
        """Which operation makes each value."""
        return {name: op for op in self.ops for name in op.outputs}

    def names(self) -> set[str]:
        """Every value name in use."""
        used = set(self.constants) | {tensor.name for tensor in self.inputs}
        return used | {name for op in self.ops for name in op.outputs}

    def fresh(self, wanted: str) -> str:
        """A value name that is not in use yet, `wanted` where possible."""
        used = self.names()
        name, number = wanted, 1
        while name in used:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def replace_reads(self, old: str, new: str) -> None:
        """Let every operation that reads `old` read `new`."""
        for op in self.ops:
            op.inputs = [new if name == old else name for name in op.inputs]

    def remove(self, ops: Iterable[Op]) -> None:
        """Take operations out."""
        gone = {id(op) for op in ops}
        self.ops = [op for op in self.ops if id(op) not in gone]

    def prune(self) -> None:
        """Drop operations and constants that no output needs."""
        needed = {tensor.name for tensor in self.outputs}
        kept: list[Op] = []
        for op in reversed(self.ops):
            if needed.intersection(op.outputs):
                kept.append(op)
                needed.update(op.inputs)
        self.ops = kept[::-1]
        self.constants = {name: array for name, array in self.constants.items() if name in needed}

    def to_model(self, *, name: str = "model", producer: str = "gluon-edge", give_up: bool = False) -> onnx.ModelProto:
        """The program as a model; constants are initializers and never inputs, so that a runtime folds them.

        With `give_up` the program loses each constant once it is in the model, so that large weights exist once.
        """
        model = onnx.ModelProto(ir_version=IR_VERSION, producer_name=producer)
        model.opset_import.add(domain="", version=self.opset)
        graph = model.graph
        graph.name = name
        graph.node.extend(helper.make_node(op.type, op.inputs, op.outputs, name=op.name, **op.attrs) for op in self.ops)
        graph.input.extend(_value_info(tensor) for tensor in self.inputs)
        graph.output.extend(_value_info(tensor) for tensor in self.outputs)
        for key in list(self.constants):
            array = self.constants.pop(key) if give_up else self.constants[key]
            # Filled in place: onnx's helpers would copy each weight twice more.
            tensor = graph.initializer.add(name=key, dims=array.shape)
            tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor.raw_data = np.ascontiguousarray(array).tobytes()
        return model

    @classmethod
    def from_model(cls, model: onnx.ModelProto) -> Program:
        """A model as a program; the inverse of `to_model`."""
        graph = model.graph
        return cls(
            ops=[
                Op(
                    type=node.op_type,
                    name=node.name,
                    inputs=list(node.input),
                    outputs=list(node.output),
                    attrs={item.name: helper.get_attribute_value(item) for item in node.attribute},
                )
                for node in graph.node
            ],
            constants={item.name: numpy_helper.to_array(item) for item in graph.initializer},
            inputs=[_tensor(info) for info in graph.input],
            outputs=[_tensor(info) for info in graph.output],
            opset=next((item.version for item in model.opset_import if not item.domain), 17),
        )


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, helper.np_dtype_to_tensor_dtype(tensor.dtype), list(tensor.dims))


def _tensor(info: onnx.ValueInfoProto) -> Tensor:
    kind = info.type.tensor_type
    dims = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    return Tensor(info.name, helper.tensor_dtype_to_np_dtype(kind.elem_type), dims)
