"""The bundle: what passes from the workstation to the device. Reading one is parsing: bounded, hashed, no way out.

A folder, or one zip of the same files: `manifest.json`, `model.onnx`, `labels.txt`, `golden/`, `report.json`.
Everything the manifest names is read once into memory and checked against its size and SHA-256 before any of it
is parsed, and the very bytes that were checked are the ones that are used.
"""

import hashlib
import json
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from edge.errors import BundleError
from edge.onnxfile import holds_external_data
from edge.prepare import Interpolation, ResizeRule
from edge.results import Task

__all__ = ["Bundle", "InputSpec", "Manifest", "OutputSpec", "read_bundle"]

MANIFEST = "manifest.json"
MODEL = "model.onnx"
LABELS = "labels.txt"
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 30
_MAX_FILES = 64

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^(golden/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Pixels = Annotated[int, Field(ge=1, le=8192)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputSpec(_Model):
    """What the graph takes: uint8 [N, height, width, 3] RGB, and how a frame becomes that (see edge.prepare)."""

    name: Literal["image"] = "image"
    height: Pixels
    width: Pixels
    colour_order: Literal["rgb"] = "rgb"
    dtype: Literal["uint8"] = "uint8"
    resize: ResizeRule = "stretch"
    interpolation: Interpolation = "bilinear"
    crop_ratio: Annotated[float, Field(gt=0, le=1)] = 0.875


class OutputSpec(_Model):
    """One output of the graph; `shape` uses names for the axes that vary."""

    name: Name
    dtype: Literal["float32", "int64", "int32", "uint8"]
    shape: tuple[int | str, ...]
    meaning: str


class Thresholds(_Model):
    """The least score that counts as a find, and the overlap at which the graph's NMS suppresses."""

    score: Annotated[float, Field(ge=0, le=1)] = 0.5
    nms_iou: Annotated[float, Field(ge=0, le=1)] | None = None


class Source(_Model):
    """Where the weights came from: the net's name and the digests of the files that were read.

    `normalization` is what the graph does to its pixels first, in the words of `gluon-export convert`: `mean` and
    `std` of values in 0..1, or `scale` and `offset` of values in 0..255.
    """

    framework: Literal["mxnet"] = "mxnet"
    net: str
    normalization: dict[Literal["mean", "std", "scale", "offset"], float | tuple[float, float, float]] = Field(
        default_factory=dict
    )
    sha256: dict[str, Sha256] = Field(default_factory=dict)


class FileEntry(_Model):
    """A file of the bundle."""

    size: Annotated[int, Field(ge=0, le=_MAX_FILE_BYTES)]
    sha256: Sha256


class Manifest(_Model):
    """manifest.json: everything the device must know about the model, and the digest of every other file."""

    schema_version: Literal["bundle/1.0"] = "bundle/1.0"
    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")] = "1.0.0"
    task: Task
    source: Source
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    classes: Annotated[int, Field(ge=1, le=100_000)]
    thresholds: Thresholds = Thresholds()
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    opset: Annotated[int, Field(ge=7, le=64)]
    tools: dict[str, str] = Field(default_factory=dict)
    files: Annotated[dict[FileName, FileEntry], Field(max_length=_MAX_FILES)]

    @model_validator(mode="after")
    def _names_the_files_every_bundle_has(self) -> "Manifest":
        missing = {MODEL, LABELS} - self.files.keys()
        if missing:
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle whose every byte was checked. `digest` is the SHA-256 of the manifest, which pins all the rest."""

    path: Path
    manifest: Manifest
    digest: str
    labels: tuple[str, ...]
    files: dict[str, bytes]

    @property
    def model(self) -> bytes:
        """The ONNX file."""
        return self.files[MODEL]

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


def read_bundle(path: Path) -> Bundle:
    """The bundle in a folder or zip, checked: sizes, digests, labels, no external data.

    Raises:
        BundleError: naming the bundle, the file in it, and what is wrong.
    """
    if path.is_dir():
        return _check(path, _FolderReader(path))
    if not path.exists():
        raise BundleError(f"{path}: no such bundle; make one with 'gluon-export convert'")
    if not path.is_file():
        raise BundleError(f"{path}: neither a bundle folder nor a zip file")
    try:
        with zipfile.ZipFile(path) as archive:
            return _check(path, _ZipReader(path, archive))
    except (zipfile.BadZipFile, NotImplementedError) as e:
        raise BundleError(f"{path}: neither a bundle folder nor a zip: {e}") from e
    except OSError as e:
        raise BundleError(f"{path}: {e.strerror or e}") from e


class _FolderReader:
    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, limit: int) -> bytes:
        """At most `limit` + 1 bytes of a regular file that lies in the folder itself."""
        path = self.root / name
        try:
            parts = [path, *list(path.parents)[: name.count("/")]]
            if any(p.is_symlink() for p in parts) or not stat.S_ISREG(path.stat().st_mode):
                raise BundleError(f"{self.root}: {name} is not a regular file")
            with path.open("rb") as f:
                return f.read(limit + 1)
        except FileNotFoundError:
            hint = "; not a bundle? make one with 'gluon-export convert'" if name == MANIFEST else ""
            raise BundleError(f"{self.root}: {name} is missing{hint}") from None
        except OSError as e:
            raise BundleError(f"{self.root}: {name}: {e.strerror}") from e


class _ZipReader:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        names = archive.namelist()
        if len(names) > _MAX_FILES + 1:
            raise BundleError(f"{path}: {len(names)} entries, more than the {_MAX_FILES} a bundle may have")
        if len(set(names)) != len(names):
            raise BundleError(f"{path}: an entry occurs twice")

    def read(self, name: str, limit: int) -> bytes:
        """At most `limit` + 1 bytes of an entry, however much it claims or inflates to."""
        try:
            with self.archive.open(name) as f:
                return f.read(limit + 1)
        except KeyError:
            raise BundleError(f"{self.path}: {name} is missing") from None
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as e:
            raise BundleError(f"{self.path}: {name}: {e}") from e


def _check(path: Path, reader: _FolderReader | _ZipReader) -> Bundle:
    raw = reader.read(MANIFEST, _MAX_MANIFEST_BYTES)
    if len(raw) > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: {MANIFEST} is larger than {_MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "it"
        raise BundleError(f"{path}: {MANIFEST}: {where}: {first['msg']}") from e
    files = {}
    for name, entry in manifest.files.items():
        data = reader.read(name, entry.size)
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
    return Bundle(path, manifest, hashlib.sha256(raw).hexdigest(), labels, files)
