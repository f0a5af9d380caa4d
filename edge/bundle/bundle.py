"""The bundle: what passes from the workstation to the device. Reading one is parsing: bounded, hashed, no way out.

A folder, or one zip of the same files: `manifest.json`, `model.onnx`, `labels.txt`, `golden/`, `report.json`, and
`signature` when it was signed. Everything the manifest names is read once into memory. The signature is judged before the
manifest is parsed, and every file's size and SHA-256 before any of it is; the very bytes that were checked are the ones
that are used.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.bundle.files import BundleFiles, open_bundle_files
from edge.bundle.manifest import (
    LABELS,
    MANIFEST,
    MODEL,
    SIGNATURE,
    InputSpec,
    Manifest,
    OutputSpec,
    Source,
    Target,
    Thresholds,
)
from edge.bundle.onnxfile import holds_external_data
from edge.bundle.trust import MAX_SIGNATURE_BYTES, Trust
from edge.errors import BundleError

__all__ = [
    "LABELS",
    "MANIFEST",
    "MODEL",
    "SIGNATURE",
    "Bundle",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "Source",
    "Target",
    "Thresholds",
    "read_bundle",
]

_MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle whose every byte was checked. `digest` is the SHA-256 of the manifest, which pins all the rest.

    `raw` and `signature` are the manifest's and the signature's own bytes; `signer` is the pinned key that signed them,
    None when no key was asked for.
    """

    path: Path
    manifest: Manifest
    digest: str
    labels: tuple[str, ...]
    files: dict[str, bytes]
    raw: bytes = b""
    signature: bytes | None = None
    signer: str | None = None

    @property
    def model(self) -> bytes:
        """The ONNX file."""
        return self.files[MODEL]

    def release(self) -> None:
        """Gives up what only loading needs; the runtime has the model by then, and the golden sample stays."""
        for name in [n for n in self.files if not n.startswith("golden/")]:
            del self.files[name]

    def json(self, name: str) -> Any:
        """A JSON file of the bundle.

        Raises:
            BundleError: when it is not there or not JSON.
        """
        try:
            return json.loads(self.files[name])
        except KeyError:
            raise BundleError(f"{self.path}: has no {name}") from None
        except ValueError as e:
            raise BundleError(f"{self.path}: {name} is not JSON: {e}") from e


def read_bundle(path: Path, trust: Trust | None = None) -> Bundle:
    """The bundle in a folder or zip, checked: signature and target as `trust` asks, sizes, digests, no external data.

    Raises:
        BundleRefusedError: when it is not signed as `trust` asks, or not meant for this device.
        BundleError: naming the bundle, the file in it, and what is wrong.
    """
    with open_bundle_files(path) as files:
        return _check(path, files, trust or Trust())


def _check(path: Path, source: BundleFiles, trust: Trust) -> Bundle:
    raw = source.read(MANIFEST, _MAX_MANIFEST_BYTES)
    if len(raw) > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: {MANIFEST} is larger than {_MAX_MANIFEST_BYTES} bytes")
    signature = source.read(SIGNATURE, MAX_SIGNATURE_BYTES) if source.has(SIGNATURE) else None
    signer = trust.signer(path, raw, signature)
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "it"
        raise BundleError(f"{path}: {MANIFEST}: {where}: {first['msg']}") from e
    trust.refuse_what_is_not_meant_for_us(path, manifest)
    source.refuse_others({MANIFEST, SIGNATURE, *manifest.files})
    files = {}
    for name, entry in manifest.files.items():
        data = source.read(name, entry.size)
        if len(data) != entry.size:
            raise BundleError(f"{path}: {name} is not the {entry.size} bytes that the manifest says")
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{path}: {name} does not match its SHA-256; the bundle is damaged or was tampered with")
        files[name] = data
    if holds_external_data(files[MODEL]):
        raise BundleError(f"{path}: {MODEL} keeps weights in other files (external data), which is refused")
    try:
        labels = tuple(files[LABELS].decode().splitlines())
    except UnicodeDecodeError as e:
        raise BundleError(f"{path}: {LABELS} is not UTF-8") from e
    if len(labels) != manifest.classes:
        raise BundleError(f"{path}: {LABELS} has {len(labels)} labels, the manifest says {manifest.classes}")
    return Bundle(path, manifest, hashlib.sha256(raw).hexdigest(), labels, files, raw, signature, signer)
