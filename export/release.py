"""Bundle -> one zip for the devices: stamped with a version and a target, signed, the same bytes each time."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from edge.bundle.bundle import MANIFEST, SIGNATURE, Bundle, Manifest, read_bundle
from edge.errors import ConfigError
from edge.secret import read_secret
from edge.signing import BUNDLE, PRIVATE, PUBLIC, key_id_of, make_key, signature
from export.errors import ExportError
from export.pack import json_bytes

__all__ = ["Stamp", "make_key_files", "pack_zip"]

_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a release says beyond the bundle it is made of; None or empty leaves what the bundle says."""

    version: str | None = None
    nodes: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()


def pack_zip(bundle: Path, out: Path, *, stamp: Stamp | None = None, sign: Sequence[Path] = ()) -> Bundle:
    """Pack a bundle into one zip: what the manifest names, signed by each private key of `sign`, and nothing else.

    Entries are stored, not deflated: weights do not compress, and zlib's bytes differ between versions. Ed25519's
    signatures are the same each time too (RFC 8032). A bundle that is signed already keeps its signatures when nothing
    is stamped, and the new ones are added.

    Raises:
        BundleError: when `bundle` is not sound.
        ConfigError: when a key's file cannot be read, or everyone may read it.
        ExportError: when a file is no key, the stamp is not right, or `out` cannot be written.
    """
    checked = read_bundle(bundle)
    raw = _stamped(checked, stamp or Stamp())
    kept = checked.signature if raw == checked.raw and checked.signature is not None else b""
    lines = kept.splitlines()
    lines += [line for line in (_signature(raw, key) for key in sign) if line not in lines]
    entries = {MANIFEST: raw, **({SIGNATURE: b"".join(line + b"\n" for line in lines)} if lines else {})}
    entries |= dict(sorted(checked.files.items()))
    work = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(work, "w", zipfile.ZIP_STORED) as archive:
            for entry, data in entries.items():
                info = zipfile.ZipInfo(entry, date_time=_DATE)
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                info.create_system = 3  # Unix, whatever this machine is
                archive.writestr(info, data)
        packed = read_bundle(work)
        work.replace(out)
    except OSError as e:
        raise ExportError(f"{out}: cannot be written: {e.strerror}") from e
    finally:
        work.unlink(missing_ok=True)
    return replace(packed, path=out)


def make_key_files(base: Path) -> tuple[Path, Path, str]:
    """Make a key pair: `BASE.key`, which only its owner may read, and `BASE.pub` for the devices; and the key's id.

    Raises:
        ExportError: when either file exists or cannot be written, or `base` is no name.
        ConfigError: when the library for signatures is not installed.
    """
    if base.name in {"", ".."}:
        raise ExportError(f"'{base}' is no name for a key; give one, such as keys/release")
    private, public = (base.with_name(base.name + suffix) for suffix in (PRIVATE, PUBLIC))
    there = [path for path in (private, public) if os.path.lexists(path)]
    if there:
        raise ExportError(f"{there[0]} exists, and a key is never overwritten; give another name")
    secret, shown = make_key()
    made: list[Path] = []
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for path, text, mode in ((private, secret, 0o600), (public, shown, 0o644)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(descriptor, "w") as f:
                f.write(f"{text}\n")
                f.flush()
                os.fsync(f.fileno())
    except OSError as e:
        for path in made:
            with suppress(OSError):
                path.unlink()
        raise ExportError(f"{e.filename or base}: {e.strerror}; give another name") from e
    return private, public, key_id_of(shown)


def _stamped(bundle: Bundle, stamp: Stamp) -> bytes:
    """The manifest's bytes with the stamp; its own where nothing is to be changed."""
    manifest = bundle.manifest
    target = {"nodes": stamp.nodes or manifest.target.nodes, "machines": stamp.machines or manifest.target.machines}
    fields: dict[str, Any] = {**manifest.model_dump(), "version": stamp.version or manifest.version, "target": target}
    try:
        stamped = Manifest.model_validate(fields)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise ExportError(f"{where}: {first['input']!r}: {first['msg']}") from e
    return bundle.raw if stamped == manifest else json_bytes(stamped.model_dump(mode="json"))


def _signature(raw: bytes, key: Path) -> bytes:
    if key.suffix == PUBLIC:  # any 32 bytes are a private key, and these everybody has
        raise ExportError(f"{key}: is named like a public key; sign with the {PRIVATE} that keygen wrote beside it")
    secret = read_secret(key)
    try:
        owner, signed = signature(raw, secret, BUNDLE)
    except ConfigError as e:
        raise ExportError(f"{key}: {e}") from e
    return f"{owner} {signed}".encode()
