"""A saved MXNet graph to ONNX, node by node, names kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from export.build import Builder, Shape, Value
from export.errors import ExportError, SourceError
from export.graph import Array, Graph, Node, Ref
from export.ops import convert
from export.passes import optimize

__all__ = ["LABEL_SLOTS", "Translation", "batch_of", "image_channels", "input_variable", "translate", "walk"]

DEFAULT_OPSET = 17
# Operators that can be written only in a newer opset than the default.
_NEWER_OPSET = {"_contrib_DeformableConvolution": 19, "_contrib_ModulatedDeformableConvolution": 19}

# Their regions are numbered within one picture.
_SINGLE = {"_contrib_ROIAlign", "_edge_pyramid_roi_align", "ROIPooling"}

# Inputs that hold the truth during training; inference never reads them.
LABEL_SLOTS = {
    "SoftmaxOutput": (1,),
    "Softmax": (1,),
    "LinearRegressionOutput": (1,),
    "LogisticRegressionOutput": (1,),
    "MAERegressionOutput": (1,),
    "SVMOutput": (1,),
}


@dataclass(slots=True)
class Translation:
    """A builder full of a graph's operations, and what each MXNet value became."""

    builder: Builder
    values: dict[Ref, Value]
    inputs: dict[str, Value]


def translate(
    graph: Graph,
    *,
    input_hw: tuple[int, int],
    input_name: str | None = None,
    batch: int | None = None,
    opset: int = DEFAULT_OPSET,
    shapes: Mapping[str, Shape] | None = None,
    frames: int | None = None,
) -> onnx.ModelProto:
    """The raw net: float32 NCHW in, MXNet's own outputs out, in MXNet's order and under MXNet's names.

    Args:
        graph: the saved model.
        input_hw: height and width of the images, pixels.
        input_name: the variable that takes the images, where it is not the only one without a weight.
        batch: a fixed batch size; by default the batch is dynamic.
        opset: raised where an operator needs it.
        shapes: shapes of further inputs by name, without the batch's meaning.
        frames: how many pictures a video net takes at once; its input is [N, C, frames, H, W].

    Raises:
        UnsupportedError: an operator or attribute has no translation.
        SourceError: a weight is missing.
    """
    name = input_variable(graph, input_name)
    every = {name: image_shapes(graph, name, input_hw, batch_of(graph, batch), frames)}
    every |= {key: (shape, shape) for key, shape in (shapes or {}).items()}
    builder = Builder(opset=needed_opset(graph, opset))
    inputs = {key: builder.input(key, np.float32, pair) for key, pair in every.items()}
    done = walk(builder, graph, inputs)
    for ref, output in zip(graph.heads, output_names(graph), strict=True):
        builder.output(done.values[ref], output)
    optimize(builder.program)
    return builder.program.to_model(name=graph.origin)


def walk(
    builder: Builder, graph: Graph, inputs: Mapping[str, Value], *, given: Mapping[Ref, Value] | None = None
) -> Translation:
    """Convert every node that the heads need.

    Args:
        builder: takes the operations.
        graph: the saved model.
        inputs: what stands for each variable that no weight fills.
        given: values that are there already, or that stand for others; what is behind them is not converted.
    """
    values: dict[Ref, Value] = dict(given or {})
    skipped = label_inputs(graph)
    for index in graph.reachable(given=values):
        node = graph.nodes[index]
        if Ref(index, 0) in values:
            continue
        if node.is_variable:
            if node.name in inputs:
                values[Ref(index, 0)] = inputs[node.name]
            elif node.name in graph.params:
                values[Ref(index, 0)] = _weight(builder, node.name, graph.params[node.name])
            elif index not in skipped:
                raise _missing(graph, node)
            continue
        operands = [values[ref] for ref in node.inputs if ref in values]
        for output, value in enumerate(convert_node(builder, node, operands)):
            values[Ref(index, output)] = value
    for ref in graph.heads:
        if ref not in values:
            raise SourceError(
                f"{graph.origin}: {graph.node(ref).name!r} has no output {ref.output}: the file is damaged"
            )
    return Translation(builder, values, dict(inputs))


def convert_node(builder: Builder, node: Node, operands: Sequence[Value]) -> list[Value]:
    """Convert one node and give its results the names that MXNet gives them."""
    since = len(builder.program.ops)
    with builder.scope(node.name):
        results = convert(builder, node, operands)
    names = [f"{node.name}_output{index or ''}" for index in range(len(results))]
    return builder.rename_last(results, since, names, node.name)


def input_variable(graph: Graph, wanted: str | None = None) -> str:
    """The variable that takes the images.

    Raises:
        SourceError: `wanted` is not there, or weights are missing so that it cannot be told.
    """
    labels = label_inputs(graph)
    free = [
        graph.nodes[index].name
        for index in graph.reachable()
        if graph.nodes[index].is_variable and graph.nodes[index].name not in graph.params and index not in labels
    ]
    if wanted is not None:
        if wanted not in free:
            raise SourceError(f"{graph.origin}: there is no input {wanted!r}; it has {', '.join(free) or 'none'}")
        return wanted
    if len(free) == 1:
        return free[0]
    if "data" in free:
        return "data"
    raise SourceError(
        f"{graph.origin}: the input cannot be told: no weights for {', '.join(free[:5]) or 'any variable'}; "
        "give the parameter file that belongs to this symbol, or, for a net of several inputs, --raw with a --shape for each"
    )


def label_inputs(graph: Graph) -> set[int]:
    """Positions of variables that only losses read, as their truth."""
    as_label: set[int] = set()
    otherwise: set[int] = set()
    for index in graph.reachable():
        node = graph.nodes[index]
        slots = LABEL_SLOTS.get(node.op, ())
        for at, ref in enumerate(node.inputs):
            (as_label if at in slots else otherwise).add(ref.node)
    return {index for index in as_label - otherwise if graph.nodes[index].is_variable}


def image_shapes(
    graph: Graph, name: str, input_hw: tuple[int, int], batch: int | None, frames: int | None = None
) -> tuple[Shape, Shape]:
    """NCHW (NCTHW of a video) at batch 1 and 2 (or at the fixed batch, twice); the channels come from the first convolution."""
    height, width = input_hw
    if height < 1 or width < 1:
        raise ExportError(f"the input size {height}x{width} is not positive")
    channels = image_channels(graph, name)
    sizes = (batch, batch) if batch else (1, 2)
    one, two = ((n, channels, *(() if frames is None else (frames,)), height, width) for n in sizes)
    return one, two


def image_channels(graph: Graph, name: str) -> int:
    """How many channels the first convolution reads; three where there is none."""
    for node in graph.nodes:
        if node.op == "Convolution" and len(node.inputs) > 1 and graph.node(node.inputs[0]).name == name:
            weight = graph.params.get(graph.node(node.inputs[1]).name)
            if weight is not None and weight.ndim > 1:
                return int(weight.shape[1]) * node.attrs().integer("num_group", 1)
    return 3


def batch_of(graph: Graph, wanted: int | None) -> int | None:
    """The batch that a graph can have: GluonCV writes its R-CNNs for one picture.

    Raises:
        ExportError: another one is wanted.
    """
    single = any(graph.nodes[index].op in _SINGLE for index in graph.reachable())
    if single and wanted not in {None, 1}:
        raise ExportError(f"{graph.origin}: takes one picture at a time, not {wanted}: its regions carry no batch")
    return 1 if single else wanted


def needed_opset(graph: Graph, wanted: int) -> int:
    """The opset that every operator of the graph can be written in."""
    return max([wanted, *(_NEWER_OPSET.get(graph.nodes[index].op, 0) for index in graph.reachable())])


def output_names(graph: Graph) -> list[str]:
    """MXNet's names of the heads, made unique where MXNet's are not."""
    names: list[str] = []
    for ref in graph.heads:
        base = name = graph.output_name(ref)
        number = 1
        while name in names:
            name, number = f"{base}_{number}", number + 1
        names.append(name)
    return names


def _weight(builder: Builder, name: str, array: Array) -> Value:
    if array.dtype.kind == "f" and array.dtype != np.float32:
        array = array.astype(np.float32)
    return builder.weight(name, array)


def _missing(graph: Graph, node: Node) -> SourceError:
    return SourceError(
        f"{graph.origin}: parameter {node.name!r} is missing from the parameter file; "
        "give the .params file that was saved with this symbol"
    )
