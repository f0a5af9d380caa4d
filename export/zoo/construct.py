"""A zoo net as a saved model: built by GluonCV, given weights, hybridized, written as symbol and params."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.errors import ExportError
from export.graph import Array, Graph
from export.source import load
from export.translate import batch_of, input_variable
from export.zoo.factory import construct, limit_regions
from export.zoo.labels import labels_of
from export.zoo.pretrained import weights_file
from export.zoo.random_weights import draw, settle
from export.zoo.runtime import mxnet, quiet
from export.zoo.samples import sample_inputs, sample_shapes
from export.zoo.table import ZooNet, find

__all__ = ["Saved", "build"]

_CALIBRATION_PICTURES: Final = 2


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved model on disk and what is known about it: `name`, `task`, `input_hw`, `labels`, `mean`, `std`."""

    symbol_path: Path
    params_path: Path
    meta: dict[str, Any] = field(default_factory=dict)


def build(
    name: str,
    *,
    out_dir: Path,
    random_seed: int | None = None,
    params: Path | None = None,
    pretrained: bool = False,
    classes: Sequence[str] | None = None,
    input_hw: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
    regions: int | None = None,
) -> Saved:
    """Build a net of the zoo and save it.

    Args:
        name: as in GluonCV's model list.
        out_dir: gets `<name>-symbol.json` and `<name>-0000.params`.
        random_seed: random weights with fitting statistics.
        params: a file of the user's, as `net.save_parameters` writes it.
        pretrained: the published weights.
        classes: the user's own, for nets that take them.
        input_hw: another size than the net's usual one, pixels.
        options: more arguments for GluonCV's factory.
        regions: at most so many regions of interest a picture, for nets of two stages; fewer than the usual 300 to
            1000 make them proportionally faster.

    Raises:
        ExportError: no such net, not exactly one kind of weights, or the weights do not fit.
    """
    entry = find(name)
    if (random_seed is not None) + (params is not None) + pretrained != 1:
        raise ExportError("give exactly one of: random weights (a seed), a parameter file, or pretrained")
    if entry.unsupported:
        raise ExportError(f"{name} cannot be built: {entry.unsupported}")
    size = input_hw or entry.input_hw
    weights = weights_file(name) if pretrained else params
    # Counting names from zero makes the same net come out under the same names each time.
    with quiet(), mxnet().name.NameManager():
        net = construct(entry, size, classes, options or {})
        if regions is not None:
            limit_regions(net, regions)
        _initialize(net, weights)
        out_dir.mkdir(parents=True, exist_ok=True)
        saved = _export(net, entry, size, out_dir)
        labels = labels_of(net, entry, classes)
        if random_seed is not None:
            _randomize(*saved, entry, size, random_seed)
    return Saved(*saved, meta={**asdict(entry), "input_hw": size, "labels": labels, "classes": len(labels)})


def _initialize(net: Any, weights: Path | None) -> None:
    mx = mxnet()
    if weights is not None:
        try:
            net.load_parameters(str(weights))
        except (OSError, AssertionError, ValueError, mx.MXNetError) as exc:
            line = str(exc).strip().splitlines()[0]
            raise ExportError(f"{weights}: the weights do not fit the net: {line}") from exc
        return
    net.initialize(mx.init.Normal(0.05))


def _export(net: Any, entry: ZooNet, size: tuple[int, int], out_dir: Path) -> tuple[Path, Path]:
    mx = mxnet()
    with quiet(), _exportable(net):
        samples = [mx.nd.zeros(shape) for shape in sample_shapes(entry, size).values()]
        try:
            if entry.task == "depth":
                # Its encoder keeps a classifier that nothing reads; once run eagerly, nobody asks for its shape.
                net(*samples)
            net.hybridize()
            net(*samples)
        except (ValueError, mx.MXNetError) as exc:
            cause = next((line for line in str(exc).splitlines() if "Check failed" in line), str(exc))
            hint = f"; its usual size is {entry.input_hw[0]}x{entry.input_hw[1]}" if size != entry.input_hw else ""
            raise ExportError(
                f"{entry.name} does not take pictures of {size[0]}x{size[1]}{hint} "
                f"({cause.rsplit('Check failed: ')[-1][:200]})"
            ) from exc
        prefix = out_dir / entry.name
        net.export(str(prefix), epoch=0)
    return Path(f"{prefix}-symbol.json"), Path(f"{prefix}-0000.params")


@contextmanager
def _exportable(net: Any) -> Iterator[None]:
    """Without what an R-CNN has for training, as GluonCV's own `export_block` does it.

    With the target generator in the graph regions are masked with -1, rows that MXNet then never writes.
    """
    contrib = vars(mxnet().sym.contrib)
    encode = contrib.pop("box_encode", None)
    children = getattr(net, "_children", {})
    generator = children.pop("_target_generator", None)
    try:
        yield
    finally:
        if encode is not None:
            contrib["box_encode"] = encode
        if generator is not None:
            children["_target_generator"] = generator


def _randomize(symbol: Path, params: Path, entry: ZooNet, size: tuple[int, int], seed: int) -> None:
    """Replace the weights on disk by random ones, the same for the same seed."""
    mx = mxnet()
    graph = load(symbol, params)
    random = np.random.default_rng(seed)
    drawn: dict[str, Array] = {}
    for name, array in graph.params.items():
        new = draw(name, array.shape, random)
        drawn[name] = array if new is None else new
    graph = replace(graph, params=drawn)
    feeds = _calibration(graph, entry, size, seed)
    settle(mx.sym.load(str(symbol)), graph, drawn, feeds)
    auxiliary = set(mx.sym.load(str(symbol)).list_auxiliary_states())
    named = {f"{'aux' if name in auxiliary else 'arg'}:{name}": mx.nd.array(drawn[name]) for name in sorted(drawn)}
    mx.nd.save(str(params), named)


def _calibration(graph: Graph, entry: ZooNet, size: tuple[int, int], seed: int) -> dict[str, Array]:
    if entry.task == "tracking":
        return sample_inputs(entry, size, seed=seed)
    count = batch_of(graph, None) or _CALIBRATION_PICTURES
    drawn = [sample_inputs(entry, size, seed=seed + number)["data"] for number in range(count)]
    return {input_variable(graph): np.concatenate(drawn)}
