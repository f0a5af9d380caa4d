"""The only place that imports mxnet and gluoncv; both are loaded when first needed, and quietly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from export.errors import ExportError
from export.mxnet_numpy import restore_aliases

__all__ = ["gluoncv", "mxnet", "quiet"]


def mxnet() -> Any:
    """The mxnet module.

    Raises:
        ExportError: it is not installed; the message says how to get it.
    """
    return _load("mxnet", "MXNet")


def gluoncv() -> Any:
    """The gluoncv module; its own banner and deprecation notices are kept from the user.

    Raises:
        ExportError: it is not installed; the message says how to get it.
    """
    mxnet()
    return _load("gluoncv", "GluonCV")


@contextmanager
def quiet() -> Iterator[None]:
    """MXNet and GluonCV warn about what their users cannot change; hold that back, and nothing of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _load(module: str, product: str) -> Any:
    restore_aliases()
    try:
        with quiet():
            return import_module(module)
    except (ImportError, OSError) as exc:
        raise ExportError(
            f"{product} is not installed ({exc}): pip install 'gluon-edge[zoo]' (x86-64 Linux, Python 3.11 or 3.12)"
        ) from exc
