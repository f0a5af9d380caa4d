"""What parses bytes from outside, as functions of bytes: each returns, or raises the one error it promises.

`python -m tests.fuzz.run TARGET --minutes 30` runs one for long; `pytest tests/fuzz` runs all of them for a second.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle.bundle import read_bundle
from edge.errors import BundleError
from export.archive import unpack
from export.errors import ExportError, SourceError
from export.params import read_params
from export.source import load_symbol
from export.translate import translate

ROOT = Path(__file__).resolve().parents[2]
STREET = ROOT / "examples" / "street_ssd"


@dataclass(frozen=True, slots=True)
class Target:
    """Something that parses: `allowed` are the errors that it may answer with; `seeds` are good inputs to damage."""

    run: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]


def _in_a_file(parse: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return parse(path)

    return run


def _small_symbol() -> bytes:
    def node(op: str, name: str, *inputs: int, **attrs: str) -> dict[str, Any]:
        return {"op": op, "name": name, "attrs": attrs, "inputs": [[i, 0, 0] for i in inputs]}

    nodes = [
        node("null", "data"),
        node("null", "w"),
        node("Convolution", "c", 0, 1, kernel="(3, 3)", num_filter="4", no_bias="True", pad="(1, 1)", stride="(2, 2)"),
        node("Pooling", "p", 2, kernel="(2, 2)", stride="(2, 2)", pool_type="max"),
        node("Reshape", "r", 3, shape="(0, -1)"),
        node("_mul_scalar", "m", 4, scalar="0.5"),
        node("slice_axis", "s", 5, axis="1", begin="0", end="None"),
        node("softmax", "o", 6, axis="-1"),
    ]
    heads = [[7, 0, 0]]
    return json.dumps({"nodes": nodes, "arg_nodes": [0, 1], "heads": heads}).encode()


def _growing_symbol() -> bytes:
    """Operators that make much out of little."""
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "_arange", "name": "a", "attrs": {"start": "0", "stop": "8", "repeat": "2"}, "inputs": []},
        {"op": "tile", "name": "t", "attrs": {"reps": "(4, 1)"}, "inputs": [[1, 0, 0]]},
        {"op": "repeat", "name": "r", "attrs": {"repeats": "2", "axis": "0"}, "inputs": [[2, 0, 0]]},
        {"op": "_zeros", "name": "z", "attrs": {"shape": "(8, 16)", "dtype": "float32"}, "inputs": []},
        {"op": "elemwise_add", "name": "e", "inputs": [[3, 0, 0], [4, 0, 0]]},
        {
            "op": "Pad",
            "name": "p",
            "attrs": {"mode": "constant", "pad_width": "(0, 0, 0, 0, 1, 1, 1, 1)"},
            "inputs": [[0, 0, 0]],
        },
        {
            "op": "_contrib_MultiBoxPrior",
            "name": "m",
            "attrs": {"sizes": "(0.3, 0.4)", "ratios": "(1, 2)"},
            "inputs": [[6, 0, 0]],
        },
        {"op": "UpSampling", "name": "u", "attrs": {"scale": "2", "sample_type": "nearest"}, "inputs": [[6, 0, 0]]},
        {"op": "SliceChannel", "name": "s", "attrs": {"num_outputs": "3", "axis": "1"}, "inputs": [[8, 0, 0]]},
        {"op": "broadcast_axis", "name": "b", "attrs": {"axis": "(1,)", "size": "(5,)"}, "inputs": [[9, 1, 0]]},
    ]
    return json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": [[5, 0, 0], [7, 0, 0], [10, 0, 0]]}).encode()


def _small_params() -> bytes:
    array = np.linspace(-1, 1, 4 * 3 * 9, dtype=np.float32).reshape(4, 3, 3, 3)
    head = struct.pack("<QQQIii4qiii", 0x112, 0, 1, 0xF993FAC9, 0, 4, *array.shape, 1, 0, 0)
    return head + array.tobytes() + struct.pack("<QQ", 1, 5) + b"arg:w"


def _archive() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name in ("model_algo_1-symbol.json", "model_algo_1-0000.params", "hyperparams.json"):
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes(range(100)) * 7))
    return raw.getvalue()


def _tar_headers(data: bytes) -> object:
    """The same as `tar.gz`, but damage lands behind the compression."""
    return _unpacked(gzip.compress(data, 1))


def _unpack_in(path: Path) -> object:
    out = path.parent / "out"
    out.mkdir()
    files = unpack(path, out)
    outside = [found for found in files.values() if found.resolve().parent != out.resolve()]
    assert not outside, f"written outside: {outside}"
    return files


_unpacked = _in_a_file(_unpack_in, "m.tar.gz")


def _convert(data: bytes) -> object:
    """A symbol that parses is translated as well: shapes and attributes come from outside too."""
    from export.graph import Graph

    nodes, heads = _symbol(data)  # type: ignore[misc]
    return translate(Graph(nodes=nodes, heads=heads, params=read_params(_small_params(), "p")), input_hw=(8, 8))


_symbol = _in_a_file(load_symbol, "x-symbol.json")


@cache
def _bundle_files() -> dict[str, bytes]:
    import sys

    sys.path.insert(0, str(ROOT / "tests"))
    from bundles import classification_bundle

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = classification_bundle(Path(folder) / "b")
        return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def _zip(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


def _with_manifest(data: bytes) -> object:
    return _read_zip(_zip({**_bundle_files(), "manifest.json": data}))


_read_zip = _in_a_file(read_bundle, "b.zip")

TARGETS = {
    "symbol": Target(
        _symbol, (SourceError,), lambda: [_small_symbol(), (STREET / "street_ssd-symbol.json").read_bytes()]
    ),
    "params": Target(lambda data: read_params(data, "fuzz"), (SourceError,), lambda: [_small_params()]),
    "convert": Target(_convert, (ExportError,), lambda: [_small_symbol(), _growing_symbol()]),
    "archive": Target(_unpacked, (SourceError,), lambda: [_archive()]),
    "tar": Target(_tar_headers, (SourceError,), lambda: [gzip.decompress(_archive())]),
    "manifest": Target(_with_manifest, (BundleError,), lambda: [_bundle_files()["manifest.json"]]),
    "zip": Target(_read_zip, (BundleError,), lambda: [_zip(_bundle_files())]),
}
