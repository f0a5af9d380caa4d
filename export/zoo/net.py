"""A saved model, loaded into MXNet once and run picture by picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.errors import SourceError
from export.graph import Array
from export.source import load
from export.translate import input_variable
from export.zoo.runtime import mxnet, quiet

__all__ = ["Net"]


class Net:
    """MXNet itself on a symbol and its parameters; float16 and float64 weights are computed in float32.

    Through `CachedOp`, as Gluon runs it; see `export.zoo.run.run`.

    Raises:
        SourceError: when MXNet is not installed, or the files do not fit together.
    """

    def __init__(self, symbol: Path, params: Path) -> None:
        self._mx = mx = mxnet()
        self.graph = load(symbol, params)
        self._input = input_variable(self.graph)
        with quiet():
            loaded = mx.sym.load(str(symbol))
            self._names: list[str] = loaded.list_inputs()
            self._weights = {name: mx.nd.array(_single(a)) for name, a in self.graph.params.items()}
            self._run: Any = mx.nd.CachedOp(loaded)
        # What only a loss would read has no value; MXNet infers its shape when it is asked.
        self._free = [n for n in self._names if n not in self._weights and n != self._input]
        self._symbol = loaded

    def __call__(self, images: Array) -> list[Array]:
        """The outputs, in MXNet's order, for float32 [N, C, H, W].

        Raises:
            SourceError: when MXNet cannot run the model on these.
        """
        mx = self._mx
        try:
            with quiet(), mx.autograd.predict_mode():
                given = {**self._weights, **self._losses(images), self._input: mx.nd.array(images)}
                found = self._run(*(given[name] for name in self._names))
                return [a.asnumpy() for a in (found if isinstance(found, list) else [found])]
        except mx.MXNetError as e:
            raise SourceError(f"{self.graph.origin}: MXNet cannot run it: {str(e).splitlines()[0]}") from e

    def _losses(self, images: Array) -> dict[str, Any]:
        if not self._free:
            return {}
        shapes, _, _ = self._symbol.infer_shape(**{self._input: images.shape})
        known = dict(zip(self._symbol.list_arguments(), shapes, strict=True))
        return {name: self._mx.nd.zeros(known[name]) for name in self._free}


def _single(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype in (np.float16, np.float64) else array
