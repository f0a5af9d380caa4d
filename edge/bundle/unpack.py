"""A bundle's zip -> a folder beside it: judged whole in memory first, then those very bytes are written."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from edge.bundle.bundle import MANIFEST, SIGNATURE, Bundle, read_bundle
from edge.bundle.trust import Trust
from edge.bundle.versions import Versions
from edge.durable import sync_folder, write_file
from edge.errors import BundleError

__all__ = ["unpack"]


def unpack(archive: Path, folder: Path, *, trust: Trust, versions: Versions | None = None) -> Bundle:
    """The bundle in `archive`, judged as `trust` and `versions` ask, and written to `folder`.

    `folder` must not exist; it appears whole and on the disk, or not at all. Nothing is written before all is judged,
    only plain files that the manifest names are, and the archive is not read again: the Bundle that is given back holds
    the bytes that were judged, and the folder does too. `versions` is asked, not raised: call its `remember` once the
    bundle has proven itself.

    Raises:
        BundleRefusedError: unsigned, unknown_key, bad_signature, wrong_target or downgrade.
        BundleError: damaged, hostile, or no bundle; or the folder is in the way or cannot be written.
        ConfigError: when the memory of versions is damaged.
    """
    bundle = read_bundle(archive, trust)
    if versions is not None:
        versions.refuse_older(archive, bundle.manifest)
    files = {MANIFEST: bundle.raw, **bundle.files}
    if bundle.signature is not None:
        files[SIGNATURE] = bundle.signature
    work: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A fresh folder of our own: no link can lie in wait in it.
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name[:64]}.", dir=folder.parent))
        for name, data in files.items():
            file = work / name
            file.parent.mkdir(exist_ok=True)
            write_file(file, data)
        for below in {(work / name).parent for name in files}:
            sync_folder(below)
        if os.path.lexists(folder):
            raise BundleError(f"{folder} exists; nothing is unpacked over what is there")
        work.chmod(0o755)
        work.rename(folder)
        sync_folder(folder.parent)
    except OSError as e:
        raise BundleError(f"{folder}: cannot be written: {e.strerror}") from e
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return replace(bundle, path=folder)
