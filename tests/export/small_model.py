"""Small saved models written by hand, so that reading can be tested without MXNet."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

FLAGS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7}


def params_bytes(arrays: dict[str, np.ndarray], magic: int | None = 0xF993FAC9) -> bytes:
    """A `.params` file; `magic` None is the layout before MXNet 0.9."""
    out = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for array in arrays.values():
        dims = array.shape
        if magic is None:
            out += struct.pack(f"<I{len(dims)}I", len(dims), *dims)
        elif magic == 0xF993FAC8:
            out += struct.pack(f"<II{len(dims)}q", magic, len(dims), *dims)
        else:
            out += struct.pack(f"<Iii{len(dims)}q", magic, 0, len(dims), *dims)
        out += struct.pack("<iii", 1, 0, FLAGS[array.dtype.name]) + array.tobytes()
    out += struct.pack("<Q", len(arrays))
    for name in arrays:
        out += struct.pack("<Q", len(name)) + name.encode()
    return out


def symbol_document() -> dict:
    """data -> convolution -> norm -> relu -> pooling -> dense."""

    def variable(name):
        return {"op": "null", "name": name, "inputs": []}

    names = ["data", "conv_weight", "conv_bias", "gamma", "beta", "mean", "var", "dense_weight", "dense_bias"]
    nodes = [variable(name) for name in names]

    def op(kind, name, inputs, **attrs):
        nodes.append({"op": kind, "name": name, "attrs": attrs, "inputs": [[i, 0, 0] for i in inputs]})
        return len(nodes) - 1

    conv = op("Convolution", "conv", [0, 1, 2], kernel="(3, 3)", num_filter="4", pad="(1, 1)")
    norm = op("BatchNorm", "norm", [conv, 3, 4, 5, 6], fix_gamma="False", eps="1e-05")
    relu = op("Activation", "relu", [norm], act_type="relu")
    pool = op("Pooling", "pool", [relu], kernel="(1, 1)", global_pool="True", pool_type="avg")
    dense = op("FullyConnected", "dense", [pool, 7, 8], num_hidden="3")
    return {
        "nodes": nodes,
        "arg_nodes": list(range(9)),
        "heads": [[dense, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }


def symbol_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)

    def normal(*shape):
        return random.normal(0, 1, shape).astype(np.float32)

    return {
        "arg:conv_weight": normal(4, 3, 3, 3),
        "arg:conv_bias": normal(4),
        "arg:gamma": abs(normal(4)) + 0.5,
        "arg:beta": normal(4),
        "aux:mean": normal(4),
        "aux:var": abs(normal(4)) + 0.5,
        "arg:dense_weight": normal(3, 4),
        "arg:dense_bias": normal(3),
    }


def write_model(folder: Path, document: dict | None = None, weights: dict | None = None) -> tuple[Path, Path]:
    symbol, params = folder / "net-symbol.json", folder / "net-0000.params"
    symbol.write_text(json.dumps(document or symbol_document()))
    params.write_bytes(params_bytes(weights or symbol_weights()))
    return symbol, params
