"""The sizes of a program's values, where they are known without its data."""

from __future__ import annotations

from dataclasses import replace

import onnx

from export.program import Program, Tensor

__all__ = ["shapes"]

_SMALL = 1024  # elements: constants that decide shapes are smaller


def shapes(program: Program) -> dict[str, tuple[int | None, ...]]:
    """Each value's dimensions; None where one depends on the batch or on the data.

    Large constants are declared, not copied.
    """
    large = {name: array for name, array in program.constants.items() if array.size > _SMALL}
    declared = [Tensor(name, array.dtype, array.shape) for name, array in large.items()]
    small = {name: array for name, array in program.constants.items() if name not in large}
    outline = replace(program, constants=small, inputs=[*program.inputs, *declared])
    graph = onnx.shape_inference.infer_shapes(outline.to_model(), data_prop=True).graph
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
        )
        for value in (*graph.value_info, *graph.output)
    }
