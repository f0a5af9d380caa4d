"""What is in an ONNX file or an MXNet symbol, told in counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import ExportError

__all__ = ["inspect_onnx", "inspect_symbol"]


def inspect_onnx(path: Path) -> tuple[dict[str, Any], str]:
    """Operators, inputs and outputs of an ONNX file: the document and the text.

    Raises:
        ExportError: when it is not one.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError) as e:
        raise ExportError(f"{path}: cannot be read as ONNX: {e}") from e
    operators = Counter(node.op_type for node in model.graph.node)
    document: dict[str, Any] = {
        "opset": {o.domain or "ai.onnx": o.version for o in model.opset_import},
        "inputs": [_value(v) for v in model.graph.input],
        "outputs": [_value(v) for v in model.graph.output],
        "nodes": len(model.graph.node),
        "operators": dict(operators.most_common()),
        "weights": sum(int(np.prod(t.dims)) for t in model.graph.initializer),
    }
    lines = [f"{path}: {document['nodes']} nodes, {document['weights']} weights, opset {document['opset']}"]
    lines += [f"  input   {v['name']} {v['shape']}" for v in document["inputs"]]
    lines += [f"  output  {v['name']} {v['shape']}" for v in document["outputs"]]
    lines += [f"  {count:6d}  {name}" for name, count in operators.most_common()]
    return document, "\n".join(lines)


def _value(value: Any) -> dict[str, Any]:
    dims = value.type.tensor_type.shape.dim
    return {"name": value.name, "shape": [d.dim_param or d.dim_value for d in dims]}


def inspect_symbol(path: Path) -> tuple[dict[str, Any], str]:
    """Operators and outputs of an MXNet symbol, and which of them the converter does not know.

    Raises:
        SourceError: when it is not one.
    """
    from export.ops import registered
    from export.source import load_symbol

    nodes, heads = load_symbol(path)
    operators = Counter(node.op for node in nodes if not node.is_variable)
    unknown = sorted(set(operators) - set(registered()))
    document: dict[str, Any] = {
        "nodes": sum(operators.values()),
        "variables": len(nodes) - sum(operators.values()),
        "outputs": [nodes[ref.node].name for ref in heads],
        "operators": dict(operators.most_common()),
        "unsupported": unknown,
    }
    lines = [f"{path}: {document['nodes']} operators, {document['variables']} variables"]
    lines += [f"  output  {name}" for name in document["outputs"]]
    lines += [
        f"  {count:6d}  {name}{'   NOT SUPPORTED' if name in unknown else ''}"
        for name, count in operators.most_common()
    ]
    return document, "\n".join(lines)
