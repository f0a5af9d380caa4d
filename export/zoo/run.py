"""What MXNet itself computes from a saved model: the truth that conversion is measured against."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import SourceError
from export.graph import Array, Graph, Ref
from export.source import load
from export.zoo.runtime import mxnet, quiet

__all__ = ["internals", "reference", "reference_layers", "run", "run_layers"]


def reference(
    symbol: Path, params: Path, images_nchw: Array, *, inputs: Mapping[str, Array] | None = None
) -> list[Array]:
    """MXNet's outputs, in its order.

    Args:
        symbol: the `-symbol.json`.
        params: the `.params`; float16 and float64 weights are computed in float32.
        images_nchw: float32 [N, C, H, W], normalised, for the one variable that has no weight.
        inputs: further inputs by name.

    Raises:
        SourceError: MXNet cannot run the pair of files.
    """
    graph = load(symbol, params)
    mx = mxnet()
    with quiet():
        loaded = mx.sym.load(str(symbol))
    return run(loaded, _weights(graph), _feeds(graph, images_nchw, inputs))


def reference_layers(
    symbol: Path, params: Path, images_nchw: Array, *, inputs: Mapping[str, Array] | None = None
) -> dict[Ref, Array]:
    """Every value that MXNet computes on the way, by node and output; see `reference`."""
    graph = load(symbol, params)
    mx = mxnet()
    with quiet():
        loaded = mx.sym.load(str(symbol))
    return internals(loaded, graph, _feeds(graph, images_nchw, inputs))


def run_layers(symbol: Path, params: Path, inputs: Mapping[str, Array]) -> dict[Ref, Array]:
    """As `reference_layers`, with every input by name."""
    with quiet():
        loaded = mxnet().sym.load(str(symbol))
    return internals(loaded, load(symbol, params), inputs)


def internals(
    symbol: Any,
    graph: Graph,
    feeds: Mapping[str, Array],
    *,
    training: bool = False,
    only: Collection[Ref] | None = None,
) -> dict[Ref, Array]:
    """Every value of a symbol, inputs and weights left out; with `training`, BatchNorm uses the batch's statistics.

    `only` names the values that are wanted: all of them together need gigabytes for large pictures.
    """
    if training:
        # The backbones of GluonCV's R-CNNs keep the statistics they came with even then.
        symbol = mxnet().sym.load_json(
            symbol.tojson().replace('"use_global_stats": "True"', '"use_global_stats": "False"')
        )
    everything = symbol.get_internals()
    # By number, as its JSON has them: names repeat, and one node's may begin with another's.
    document = json.loads(everything.tojson())
    order = _visiting_order(graph)
    if [node["name"] for node in document["nodes"]] != [graph.nodes[index].name for index in order]:
        raise SourceError(f"{graph.origin}: MXNet visits {len(document['nodes'])} nodes in another order than expected")
    places = [Ref(order[node], output) for node, output, *_ in document["heads"]]
    wanted = [
        at for at, ref in enumerate(places) if not graph.nodes[ref.node].is_variable and (only is None or ref in only)
    ]
    if not wanted:
        return {}
    chosen = mxnet().sym.Group([everything[at] for at in wanted])
    found = run(chosen, _weights(graph), feeds, training=training)
    return {places[at]: value for at, value in zip(wanted, found, strict=True)}


def _visiting_order(graph: Graph) -> list[int]:
    """Positions in the order in which MXNet visits them: inputs first, depth first from the heads."""
    order: list[int] = []
    seen: set[int] = set()
    pending = [(ref.node, False) for ref in reversed(graph.heads)]
    while pending:
        index, expanded = pending.pop()
        if expanded:
            order.append(index)
        elif index not in seen:
            seen.add(index)
            pending.append((index, True))
            pending.extend((ref.node, False) for ref in reversed(graph.nodes[index].inputs) if ref.node not in seen)
    return order


def run(
    symbol: Any, weights: Mapping[str, Array], feeds: Mapping[str, Array], *, training: bool = False
) -> list[Array]:
    """What a symbol computes; labels that only losses read are zeros.

    Through `CachedOp`, as Gluon runs it: `bind` would let MXNet's CPU sub-graph pass rewrite the net, which is
    0.37 off for CIFAR ResNet v2.
    """
    mx = mxnet()
    names = symbol.list_inputs()
    # Nets of `mx.np` have scalars, which MXNet knows only when told so.
    with quiet(), mx.util.np_shape(active='"op": "_np' in symbol.tojson()):
        shapes = _missing_shapes(symbol, {**weights, **feeds})
        operands = [
            mx.nd.zeros(shapes[name]) if array is None else mx.nd.array(array, dtype=array.dtype)
            for name in names
            for array in [feeds.get(name, weights.get(name))]
        ]
        try:
            operation = mx.nd.CachedOp(symbol)
            with mx.autograd.train_mode() if training else mx.autograd.predict_mode():
                found = operation(*operands)
        except mx.MXNetError:
            # CachedOp prepares a backward pass, which some operators (sort, argmax_channel, arange alone) have not.
            found = _bound(symbol, dict(zip(names, operands, strict=True)), training=training)
        # One after the other, so that nothing is there twice.
        left = list(found)[::-1] if isinstance(found, list) else [found]
        del found
        return [left.pop().asnumpy() for _ in range(len(left))]


def _bound(symbol: Any, operands: dict[str, Any], *, training: bool) -> list[Any]:
    auxiliary = symbol.list_auxiliary_states()
    bound = symbol.bind(
        mxnet().cpu(),
        args={name: array for name, array in operands.items() if name not in auxiliary},
        grad_req="null",
        aux_states={name: operands[name] for name in auxiliary},
    )
    found: list[Any] = bound.forward(is_train=training)
    return found


def _missing_shapes(symbol: Any, known: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    names = symbol.list_arguments()
    if all(name in known for name in names):
        return {}
    shapes, _, _ = symbol.infer_shape(**{name: known[name].shape for name in names if name in known})
    return dict(zip(names, shapes, strict=True))


def _weights(graph: Graph) -> dict[str, Array]:
    return {
        name: array.astype(np.float32) if array.dtype in (np.float16, np.float64) else array
        for name, array in graph.params.items()
    }


def _feeds(graph: Graph, images: Array, inputs: Mapping[str, Array] | None) -> dict[str, Array]:
    from export.translate import input_variable

    return {**(inputs or {}), input_variable(graph): images}
