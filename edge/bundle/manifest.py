"""manifest.json: everything the device must know about a model, what it is meant for, and the digest of every file."""

import fnmatch
import platform
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge.prepare import Interpolation, ResizeRule
from edge.results import Task

__all__ = [
    "LABELS",
    "MANIFEST",
    "MAX_BYTES",
    "MAX_FILES",
    "MODEL",
    "SIGNATURE",
    "FileEntry",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "Source",
    "Target",
    "Thresholds",
    "machine",
    "schema",
]

MANIFEST = "manifest.json"
MODEL = "model.onnx"
LABELS = "labels.txt"
SIGNATURE = "signature"
MAX_BYTES = 1 << 30
"""What all files of a bundle may have together; they are held in memory."""
MAX_FILES = 64

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^(golden/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Machine = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]
NodePattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_*?-]{1,64}$")]
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


class Target(_Model):
    """What the bundle is meant for: processors, and shell patterns of nodes' names; an empty list means any."""

    machines: Annotated[tuple[Machine, ...], Field(max_length=16)] = ()
    nodes: Annotated[tuple[NodePattern, ...], Field(max_length=64)] = ()

    def excludes(self, *, machine: str | None, node: str | None) -> str | None:
        """Why this machine or node is not meant, in words; None when it is. What is not known is not judged."""
        if machine is not None and self.machines and machine not in self.machines:
            return f"it is meant for {' or '.join(self.machines)}, this machine is {machine}"
        if node is not None and self.nodes and not any(fnmatch.fnmatchcase(node, p) for p in self.nodes):
            return f"it is meant for the nodes {', '.join(self.nodes)}, this one is {node}"
        return None


class FileEntry(_Model):
    """A file of the bundle."""

    size: Annotated[int, Field(ge=0, le=MAX_BYTES)]
    sha256: Sha256


class Manifest(_Model):
    """manifest.json: everything the device must know about the model, and the digest of every other file."""

    schema_version: Literal["bundle/1.0"] = "bundle/1.0"
    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")] = "1.0.0"
    target: Target = Target()
    task: Task
    source: Source
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    classes: Annotated[int, Field(ge=1, le=100_000)]
    thresholds: Thresholds = Thresholds()
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    opset: Annotated[int, Field(ge=7, le=64)]
    tools: dict[str, str] = Field(default_factory=dict)
    files: Annotated[dict[FileName, FileEntry], Field(max_length=MAX_FILES)]

    @model_validator(mode="after")
    def _names_the_files_every_bundle_has(self) -> "Manifest":
        missing = {MODEL, LABELS} - self.files.keys()
        if missing:
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        impossible = {MANIFEST, SIGNATURE} & self.files.keys()
        if impossible:
            raise ValueError(f"files names {', '.join(sorted(impossible))}, whose digest it cannot hold")
        total = sum(entry.size for entry in self.files.values())
        if total > MAX_BYTES:
            raise ValueError(f"files are {total} bytes together, more than the {MAX_BYTES} a bundle may have")
        return self

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, which compare as versions do."""
        return tuple(int(part) for part in self.version.split("."))


def schema() -> dict[str, Any]:
    """The manifest's JSON Schema, which docs/bundle-1.0.schema.json holds."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "bundle-1.0.schema.json"}
    return {**head, **Manifest.model_json_schema()}


def machine() -> str:
    """This machine's processor as a bundle's target names it, such as `x86_64` or `aarch64`."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
