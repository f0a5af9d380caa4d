"""Running a model with onnxruntime on the workstation: one thread, CPU, no surprises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
import onnxruntime

from export.graph import Array

__all__ = ["open_session", "run_model"]


def open_session(model: onnx.ModelProto | str | bytes, *, optimize: bool = True, threads: int = 1) -> Any:
    """A CPU session; `optimize` False runs every node as it is written."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run_model(model: onnx.ModelProto, feeds: Mapping[str, Array], *, optimize: bool = True) -> dict[str, Array]:
    """All outputs by name."""
    session = open_session(model, optimize=optimize)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))
