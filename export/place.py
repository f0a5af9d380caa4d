"""Where a bundle's folder goes: it appears whole or not at all, and never in the place of anything else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from edge.bundle.bundle import MANIFEST
from export.errors import ExportError

__all__ = ["SOURCE", "SOURCE_NAMES", "refuse_what_is_not_ours", "replace"]

SOURCE = "source"
"""Sub-folder beside the manifest that keeps the MXNet files for `verify`; never part of the packed bundle."""

SOURCE_NAMES = {"symbol": "model-symbol.json", "params": "model-0000.params"}


def refuse_what_is_not_ours(out: Path) -> None:
    """A folder is replaced only when it is empty, or a bundle and nothing but a bundle.

    Raises:
        ExportError: for anything else that stands at `out`.
    """
    try:
        if not out.exists():
            return
        if out.is_dir():
            inside = {p.relative_to(out).as_posix() for p in out.rglob("*") if not p.is_dir()}
            if not inside or inside <= _files_of_bundle(out / MANIFEST):
                return
    except OSError as e:
        raise ExportError(f"{out}: {e.strerror}; give another -o") from e
    raise ExportError(f"{out} exists and is not a bundle, or holds more than one; give another -o or remove it")


def _files_of_bundle(manifest: Path) -> set[str]:
    """Everything that the bundle of this manifest may consist of; empty when it is no bundle's manifest."""
    try:
        document = json.loads(manifest.read_bytes())
        ours = str(document["schema_version"]).startswith("bundle/")
        files = set(document["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {*files, MANIFEST, *(f"{SOURCE}/{name}" for name in SOURCE_NAMES.values())} if ours else set()


def replace(work: Path, out: Path) -> None:
    """Put the finished folder `work` in the place of `out`; interrupted, the old one is still or again there."""
    old = out.with_name(f".{out.name[:64]}.old-{os.getpid()}")
    try:
        if out.exists():
            out.rename(old)
        work.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
