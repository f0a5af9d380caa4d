"""P5: the float bundle against MXNet on the same weights, its CPU fusion on, one thread each, timed in turn."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.heads import session
from benchmarks.nets import Net, bundle_of, nets
from benchmarks.paired import paired
from export.pack import source_files
from export.zoo.runtime import mxnet

__all__ = ["measure"]

_GOALS = {"real SSD-MobileNet (384x672)": "1.4x"}


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    return [_row(net) for net in nets()]


def _row(net: Net) -> dict[str, Any]:
    bundle = bundle_of(net)
    files = source_files(bundle)
    if files is None:
        raise SystemExit(f"{bundle.path}: its MXNet source is gone; remove the folder and run again")
    spec = bundle.manifest.input
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    whole = session(bundle.model)
    result = paired(
        {
            "mxnet": _mxnet(*files, spec.height, spec.width),
            "bundle": lambda: whole.run(None, {"image": image}),
        },
        rounds=12,
    )
    return {
        "net": net.name,
        "mxnet_ms": round(result.median_ms["mxnet"], 1),
        "bundle_ms": round(result.median_ms["bundle"], 1),
        "times_faster": round(result.ratio("mxnet", "bundle"), 2),
        "goal": _GOALS.get(net.name, "-"),
    }


def _mxnet(symbol: Path, params: Path, height: int, width: int) -> Any:
    """A call that runs MXNet at its best: hybridized, static allocation, the default CPU sub-graph fusion."""
    os.environ.pop("MXNET_SUBGRAPH_BACKEND", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mx = mxnet()
        loaded = {k: v.astype("float32") for k, v in mx.nd.load(str(params)).items()}
        net = mx.gluon.SymbolBlock(mx.sym.load(str(symbol)), [mx.sym.var("data")])
        names = {k.split(":", 1)[1]: v for k, v in loaded.items()}
        for name, parameter in net.collect_params().items():
            parameter.initialize(ctx=mx.cpu())
            parameter._load_init(names[name], mx.cpu())  # noqa: SLF001  (what SymbolBlock.imports does, float16 aside)
        net.hybridize(static_alloc=True, static_shape=True)
    x = mx.nd.array(np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32))

    def call() -> None:
        for output in net(x):
            output.wait_to_read()

    return call
