"""`-symbol.json` and `.params`, the two files of a saved MXNet model, read with numpy alone.

Both files are parsed as untrusted input: sizes are bounded before anything is allocated, nothing is unpickled and
nothing is evaluated. Layout of `.params`: MXNet 1.9's `src/ndarray/ndarray.cc`, `NDArray::Save` and `LegacyLoad`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from export.errors import SourceError
from export.graph import Array, Graph, Node, Ref
from export.params import read_params

__all__ = ["digests", "load", "load_params", "load_symbol"]

_MAX_SYMBOL_BYTES: Final = 64 << 20
_MAX_PARAMS_BYTES: Final = 8 << 30
_MAX_NODES: Final = 200_000
_MAX_NAME: Final = 4096
_MAX_INPUTS: Final = 65_536


def load(symbol: Path, params: Path) -> Graph:
    """Read a saved model.

    Raises:
        SourceError: a file is missing, too large, damaged or foreign; the message names it.
    """
    nodes, heads = load_symbol(symbol)
    graph = Graph(
        nodes=nodes, heads=heads, params=load_params(params), digests=digests(symbol, params), origin=symbol.name
    )
    _check_pair(graph, symbol, params)
    return graph


def digests(symbol: Path, params: Path) -> dict[str, str]:
    """SHA-256 of both files, under `symbol` and `params`."""
    return {"symbol": _sha256(symbol), "params": _sha256(params)}


def load_symbol(path: Path) -> tuple[tuple[Node, ...], tuple[Ref, ...]]:
    """Nodes and heads of a `-symbol.json`.

    Raises:
        SourceError: missing, too large, not JSON, or not a symbol; the message names the file and the node.
    """
    data = _read(path, _MAX_SYMBOL_BYTES, "the symbol file")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise SourceError(f"{path}: not a symbol file, its JSON does not parse ({exc})") from exc
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        raise SourceError(f"{path}: not a symbol file: it has no list of nodes; expected what MXNet's export writes")
    entries = document["nodes"]
    if len(entries) > _MAX_NODES:
        raise SourceError(f"{path}: {len(entries)} nodes, more than the {_MAX_NODES} that are accepted")
    nodes = tuple(_node(path, index, entry) for index, entry in enumerate(entries))
    raw_heads = document.get("heads")
    if not isinstance(raw_heads, list) or not 0 < len(raw_heads) <= _MAX_INPUTS:
        raise SourceError(f"{path}: not a symbol file: it has no heads (outputs)")
    return nodes, tuple(_ref(path, "heads", entry, len(nodes)) for entry in raw_heads)


def load_params(path: Path) -> dict[str, Array]:
    """The weights of a `.params` file by name, without the `arg:` and `aux:` prefixes.

    Raises:
        SourceError: missing, truncated, foreign, sparse or of an unknown type; the message names file and parameter.
    """
    return read_params(_read(path, _MAX_PARAMS_BYTES, "the parameter file"), str(path))


def _read(path: Path, limit: int, what: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit:
            raise SourceError(f"{path}: {size} bytes, more than the {limit} that are accepted for {what}")
        return path.read_bytes()
    except OSError as exc:
        raise SourceError(f"{path}: {what} cannot be read ({exc.strerror}); give the path of an existing file") from exc


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return (
                hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _chunked(file)
            )
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc


def _chunked(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _node(path: Path, index: int, entry: Any) -> Node:
    if not isinstance(entry, dict):
        raise SourceError(f"{path}: node {index} is not an object")
    op, name = entry.get("op"), entry.get("name")
    if not isinstance(op, str) or not isinstance(name, str) or len(op) > _MAX_NAME or len(name) > _MAX_NAME:
        raise SourceError(f"{path}: node {index} has no op and name, or they are too long")
    inputs = entry.get("inputs", [])
    if not isinstance(inputs, list) or len(inputs) > _MAX_INPUTS:
        raise SourceError(f"{path}: node {name!r} has no list of inputs")
    # Only earlier nodes may be read, so that a cycle cannot be written down.
    refs = tuple(_ref(path, f"node {name!r}", item, index) for item in inputs)
    return Node(op=op, name=name, inputs=refs, values=_values(path, name, entry))


def _values(path: Path, name: str, entry: dict[str, Any]) -> dict[str, str]:
    # MXNet before 0.9 wrote `param`, 0.9 to 1.1 `attr`, later ones `attrs`; an old file may have two of them.
    values: dict[str, str] = {}
    for key in ("param", "attr", "attrs"):
        found = entry.get(key) or {}
        if not isinstance(found, dict):
            raise SourceError(f"{path}: the attributes of node {name!r} are not an object")
        for attribute, value in found.items():
            if not isinstance(value, str):
                raise SourceError(f"{path}: attribute {attribute!r} of node {name!r} is not a string")
            values[attribute] = value
    return values


def _ref(path: Path, where: str, item: Any, limit: int) -> Ref:
    if (
        not isinstance(item, list)
        or len(item) not in {2, 3}
        or not all(isinstance(number, int) and not isinstance(number, bool) for number in item)
    ):
        raise SourceError(f"{path}: {where} has an input that is not [node, output, version]")
    if not (0 <= item[0] < limit and 0 <= item[1] < _MAX_INPUTS):
        raise SourceError(f"{path}: {where} reads {item[:2]}, which does not come before it: the file is damaged")
    return Ref(item[0], item[1])


def _check_pair(graph: Graph, symbol: Path, params: Path) -> None:
    variables = [node.name for node in graph.nodes if node.is_variable]
    if variables and graph.params and not any(name in graph.params for name in variables):
        raise SourceError(
            f"{params}: holds none of the weights of {symbol} (it has {next(iter(graph.params))!r}, "
            f"the symbol wants {variables[-1]!r}); give the two files of one model"
        )
