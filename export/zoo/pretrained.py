"""Published weights: GluonCV's names, hashes and cache folder; nothing unverified is used."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from export.errors import ExportError
from export.zoo.runtime import gluoncv, quiet

__all__ = ["weights_file"]


def weights_file(name: str, *, root: Path | None = None) -> Path:
    """The verified file of published weights, downloaded when it is not in the cache.

    Args:
        name: the zoo's name of the net.
        root: the cache; by default GluonCV's: `$MXNET_HOME/models` or `~/.mxnet/models`.

    Raises:
        ExportError: there are none, the download failed (the message says which file to put where), or the file's
            hash is wrong.
    """
    gluoncv()
    from gluoncv.model_zoo import model_store

    home = os.environ.get("MXNET_HOME")
    folder = root or (Path(home) / "models" if home else Path.home() / ".mxnet" / "models")
    sha1 = model_store._model_sha1.get(name)  # noqa: SLF001 - GluonCV has no public way to ask
    if sha1 is None:
        raise ExportError(f"GluonCV published no weights for {name}; use --params FILE or --random SEED")
    path = folder / f"{name}-{sha1[:8]}.params"
    if path.exists():
        _check(path, sha1)
        return path
    try:
        with quiet():
            model_store.get_model_file(name, root=str(folder))
    except Exception as exc:
        # Whatever fails inside requests, zipfile or the lock, the remedy is the same.
        raise ExportError(
            f"the weights of {name} could not be downloaded ({type(exc).__name__}); "
            f"put {path.name} (SHA-1 {sha1}) into {folder} and try again"
        ) from exc
    _check(path, sha1)
    return path


def _check(path: Path, sha1: str) -> None:
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != sha1:
        raise ExportError(
            f"{path}: its SHA-1 is {digest.hexdigest()}, GluonCV published {sha1}; delete it and try again"
        )
