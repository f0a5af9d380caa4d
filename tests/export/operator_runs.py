"""One MXNet operator, run by MXNet and by what the converter makes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from export.build import Builder
from export.graph import Graph, Node, Ref
from export.run_onnx import run_model
from export.translate import needed_opset, walk
from export.zoo.run import run
from export.zoo.runtime import mxnet


@dataclass(frozen=True)
class Case:
    """An operator with attributes on inputs; `weights` are the positions of constant inputs."""

    op: str
    inputs: tuple[np.ndarray, ...]
    attrs: dict[str, object] = field(default_factory=dict)
    weights: tuple[int, ...] = ()
    dynamic: bool = True
    atol: float = 1e-5
    rtol: float = 1e-5

    def __str__(self):
        shapes = "-".join("x".join(map(str, array.shape)) for array in self.inputs)
        values = ",".join(f"{key}={value}" for key, value in self.attrs.items())
        return f"{self.op}[{shapes}]({values})".replace(" ", "")


def graph_of(case: Case) -> Graph:
    nodes = [Node("null", f"in{i}") for i in range(len(case.inputs))]
    values = {key: str(value) for key, value in case.attrs.items()}
    nodes.append(Node(case.op, "it", tuple(Ref(i, 0) for i in range(len(case.inputs))), values))
    params = {f"in{i}": case.inputs[i] for i in case.weights}
    return Graph(tuple(nodes), (Ref(len(nodes) - 1, 0),), params)


def symbol_of(graph: Graph):
    nodes = [
        {"op": n.op, "name": n.name, "attrs": dict(n.values), "inputs": [[r.node, r.output, 0] for r in n.inputs]}
        for n in graph.nodes
    ]
    variables = [i for i, n in enumerate(graph.nodes) if n.is_variable]
    heads = [[r.node, r.output, 0] for r in graph.heads]
    text = json.dumps(
        {"nodes": nodes, "arg_nodes": variables, "heads": heads, "attrs": {"mxnet_version": ["int", 10901]}}
    )
    return mxnet().sym.load_json(text)


def by_mxnet(case: Case) -> list[np.ndarray]:
    return run(symbol_of(graph_of(case)), {}, {f"in{i}": array for i, array in enumerate(case.inputs)})


def by_onnx(case: Case, outputs: int = 1) -> list[np.ndarray]:
    graph = graph_of(case)
    builder = Builder(opset=needed_opset(graph, 17))
    values = {}
    for i, array in enumerate(case.inputs):
        if i not in case.weights:
            shapes = ((1, *array.shape[1:]), (2, *array.shape[1:])) if case.dynamic else (array.shape, array.shape)
            values[f"in{i}"] = builder.input(f"in{i}", array.dtype, shapes)
    done = walk(builder, graph, values)
    names = []
    for output in range(outputs):
        value = done.values[Ref(len(graph.nodes) - 1, output)]
        builder.output(value, f"result{output}")
        names.append(f"result{output}")
    feeds = {tensor.name: array for tensor, array in zip(builder.program.inputs, _fed(case), strict=True)}
    results = run_model(builder.program.to_model(), feeds)
    for tensor, name in zip(builder.program.outputs, names, strict=True):
        _check_dims(tensor.dims, results[name].shape, case)
    return [results[name] for name in names]


def _fed(case: Case) -> list[np.ndarray]:
    return [array for i, array in enumerate(case.inputs) if i not in case.weights]


def _check_dims(dims, shape, case: Case) -> None:
    batch = _fed(case)[0].shape[0] if case.dynamic and _fed(case) else 1
    for dim, size in zip(dims, shape, strict=True):
        if isinstance(dim, str):
            if dim != "?":
                assert size == (int(dim[:-1]) if dim != "N" else 1) * batch
        else:
            assert dim == size, f"the shape inferred for {case} is {dims}, onnxruntime gives {shape}"


def check(case: Case) -> None:
    expected = by_mxnet(case)
    actual = by_onnx(case, len(expected))
    for one, two in zip(actual, expected, strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one.astype(np.float64), two.astype(np.float64), atol=case.atol, rtol=case.rtol)
