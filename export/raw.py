"""`convert --raw`: nets whose results no task of a bundle expresses: clips, depth, a tracker's two pictures.

What the file is and whether it equals MXNet stands in the file itself, under the metadata key `gluon-edge`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.bare import raw_model
from export.build import Shape
from export.errors import ExportError
from export.graph import Array, Graph
from export.progress import Bar
from export.prune import load_for_inference
from export.translate import image_channels, input_variable, output_names

__all__ = ["KEY", "convert_raw"]

KEY = "gluon-edge"


def convert_raw(args: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """`convert --raw`: write the ONNX file, compare it with MXNet where that is installed, and tell what it is.

    Returns:
        The document that also stands in the file, and whether the graph equals MXNet (also where nobody could tell).

    Raises:
        ExportError: the arguments do not fit together, the net cannot be built, or the file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="gluon-export-") as folder, Bar() as progress:
        progress("reading", 0, 3)
        symbol, params, feeds, facts = _source(args, Path(folder), progress)
        graph, symbol = load_for_inference(symbol, params, Path(folder))
        if not feeds:
            feeds = _inputs(graph, args)
        progress("translating", 1, 3)
        model = raw_model(graph, {name: array.shape for name, array in feeds.items()})
        onnx.checker.check_model(model, full_check=True)
        progress("comparing with MXNet", 2, 3)
        compared = _compared(symbol, params, feeds, model)
        document = {
            "form": "raw",
            **facts,
            "inputs": {name: list(array.shape) for name, array in feeds.items()},
            "outputs": output_names(graph),
            "nodes": len(model.graph.node),
            "sha256": dict(graph.digests),
            "compared": compared,
        }
        model.metadata_props.add(key=KEY, value=json.dumps(document, sort_keys=True))
        try:
            args.output.parent.mkdir(parents=True, exist_ok=True)
            args.output.write_bytes(model.SerializeToString(deterministic=True))
        except OSError as exc:
            raise ExportError(f"{args.output}: cannot be written: {exc.strerror}; give another -o FILE.onnx") from exc
    return document, compared is None or bool(compared["ok"])


def _source(
    args: argparse.Namespace, folder: Path, progress: Bar
) -> tuple[Path, Path, dict[str, Array], dict[str, Any]]:
    """The saved model, what to feed it (nothing where only its input's size is known), and what is known about it."""
    unasked = [
        f"--{name}"
        for name in ("sagemaker", "task", "labels", "golden", "threshold", "winograd")
        if getattr(args, name)
    ]
    if unasked:
        raise ExportError(f"a raw graph has no use for {', '.join(unasked)}; leave it out")
    if args.symbol is not None:
        if args.params is None or (args.input is None) == (not args.shape):
            raise ExportError("--raw of a saved model also needs --params, and --input or a --shape for each input")
        return args.symbol, args.params, {}, {"net": args.symbol.name.removesuffix("-symbol.json")}
    if args.net is None:
        raise ExportError("name a zoo net ('gluon-export zoo list'), or give --symbol and --params")
    if args.shape:
        raise ExportError("--shape is for a saved model; the zoo knows the inputs of its nets")
    from export import zoo

    progress("building the net with MXNet", 0, 3)
    built = zoo.build(
        args.net,
        out_dir=folder,
        random_seed=args.random,
        params=args.params,
        pretrained=args.pretrained,
        input_hw=args.input,
    )
    entry = zoo.find(args.net)
    facts = {"net": entry.name, "task": entry.task, "mean": list(entry.mean), "std": list(entry.std)}
    return (
        built.symbol_path,
        built.params_path,
        zoo.sample_inputs(entry, built.meta["input_hw"], seed=5),
        facts,
    )


def _inputs(graph: Graph, args: argparse.Namespace) -> dict[str, Array]:
    """Something to feed, by the name of the variable."""
    rng = np.random.default_rng(5)
    if args.input is not None:
        name = input_variable(graph)
        return {name: _drawn(rng, set(), (1, image_channels(graph, name), *args.input))}
    known = graph.free_variables()
    if unknown := [name for name, _ in args.shape if name not in known]:
        raise ExportError(f"{graph.origin}: there is no input {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return {name: _drawn(rng, _readers(graph, name), dims) for name, dims in args.shape}


def _readers(graph: Graph, name: str) -> set[str]:
    """The operators that read an input, and at which place."""
    return {
        f"{node.op} {at}" for node in graph.nodes for at, ref in enumerate(node.inputs) if graph.node(ref).name == name
    }


def _drawn(rng: np.random.Generator, readers: set[str], dims: Shape) -> Array:
    """Rows to look up, regions of the first picture, or numbers as in a normalised picture."""
    if readers & {"Embedding 0", "take 1", "one_hot 0"}:
        return rng.integers(0, 2, dims).astype(np.float32)
    if readers & {"_contrib_ROIAlign 1", "ROIPooling 1"} and dims[-1] == 5:
        corners = np.sort(rng.uniform(0, 32, (*dims[:-1], 2, 2)), axis=-2).reshape(*dims[:-1], 4)
        return np.asarray(np.concatenate([np.zeros((*dims[:-1], 1)), corners], axis=-1), np.float32)
    return rng.normal(size=dims).astype(np.float32)


def _compared(symbol: Path, params: Path, feeds: Mapping[str, Array], model: onnx.ModelProto) -> dict[str, Any] | None:
    from importlib.util import find_spec

    if find_spec("mxnet") is None:
        return None
    from export.verify import verify_raw

    return verify_raw(symbol, params, feeds, model=model).to_json()
