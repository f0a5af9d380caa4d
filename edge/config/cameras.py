"""`[cameras.NAME]`: where frames come from, and what of them is worth the model's time."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from edge.config.fields import Line, LocalPath, Name, Polygon, Section, from_the_files_folder
from edge.config.model import ModelConfig

__all__ = ["IMAGE_SUFFIXES", "CameraConfig", "CameraKind", "MotionConfig", "ZoneConfig"]

CameraKind = Literal["gstreamer", "images", "pattern", "picamera", "url", "v4l2", "video"]
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https"})
_PATTERN = re.compile(r"pattern(:[1-9][0-9]{0,9})?")
_PICAMERA = re.compile(r"picamera(:[0-9]{1,2})?")


def _kind_by_words(source: str, kind: CameraKind | None) -> CameraKind | None:
    """The kind of a source that is no path: `pattern`, `picamera:1`, `v4l2src ! ...`; None for all others."""
    if kind in {"gstreamer", "pattern", "picamera"}:
        return kind
    if kind is None and _PATTERN.fullmatch(source):
        return "pattern"
    if kind is None and _PICAMERA.fullmatch(source):
        return "picamera"
    return "gstreamer" if kind is None and " ! " in source else None


class MotionConfig(Section):
    """`[cameras.NAME.motion]`: the model rests while nothing moves."""

    enabled: bool = True
    algorithm: Literal["mog2", "knn"] = "mog2"
    every_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    linger_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    min_area: Annotated[float, Field(gt=0, le=1)] = 0.001
    threshold: Annotated[float, Field(gt=0, le=1000)] = 16.0
    fps: Annotated[float, Field(gt=0, le=100)] = 10.0
    masks: Annotated[tuple[Polygon, ...], Field(max_length=64)] = ()


class ZoneConfig(Section):
    """`[cameras.NAME.zones.ZONE]`: a part of the view; an object is in it that stands in it, by its box's lower edge."""

    corners: Polygon
    labels: Annotated[tuple[Line, ...], Field(max_length=1000)] = ()


class CameraConfig(Section):
    """`[cameras.NAME]`: one source of frames."""

    kind: CameraKind | None = None
    source: Annotated[int, Field(strict=True, ge=0, le=255)] | Line
    enabled: bool = True
    pace: Literal["native", "fast"] = "native"
    loop: bool = False
    start_s: Annotated[float, Field(ge=0, le=1e7)] = 0.0
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    width: Annotated[int, Field(ge=1, le=16_384)] | None = None
    height: Annotated[int, Field(ge=1, le=16_384)] | None = None
    snapshot_width: Annotated[int, Field(ge=2, le=16_384, multiple_of=2)] | None = None
    snapshot_height: Annotated[int, Field(ge=2, le=16_384, multiple_of=2)] | None = None
    username: Line | None = None
    password_file: LocalPath | None = None
    open_timeout_s: Annotated[float, Field(gt=0, le=60)] = 4.0
    read_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    frozen_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    model: ModelConfig | None = None
    motion: MotionConfig | None = None
    zones: dict[Name, ZoneConfig] = Field(default={}, max_length=32)
    privacy: Annotated[tuple[Polygon, ...], Field(max_length=64)] = ()
    recovery_command: Annotated[tuple[Line, ...], Field(max_length=32)] = ()
    recovery_after_s: Annotated[float, Field(ge=5, le=86_400)] = 60.0
    recovery_per_day: Annotated[int, Field(ge=1, le=100)] = 3

    @field_validator("source")
    @classmethod
    def _pathfrom_the_files_folder(cls, source: int | str, info: ValidationInfo) -> int | str:
        if isinstance(source, int) or "://" in source or _kind_by_words(source, info.data.get("kind")) is not None:
            return source
        path = str(from_the_files_folder(Path(source), info))
        return path + "/" if source.endswith("/") else path

    @property
    def inferred_kind(self) -> CameraKind:
        """`kind`, or what the source looks like: a number or /dev is V4L2, a URL a stream, ` ! ` a pipeline."""
        if self.kind is not None:
            return self.kind
        words = None if isinstance(self.source, int) else _kind_by_words(self.source, None)
        if words is not None:
            return words
        if isinstance(self.source, int) or self.source.startswith("/dev/"):
            return "v4l2"
        if "://" in self.source:
            return "url"
        path = Path(self.source)
        if self.source.endswith("/") or path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
            return "images"
        return "video"

    @property
    def finite(self) -> bool:
        """Whether the source comes to an end by itself."""
        kind = self.inferred_kind
        return (kind in {"video", "images"} and not self.loop) or (kind == "pattern" and ":" in str(self.source))

    @model_validator(mode="after")
    def _kind_fits_the_source(self) -> "CameraConfig":
        kind = self.inferred_kind
        if isinstance(self.source, str) and "://" in self.source and kind != "gstreamer":
            scheme = urlsplit(self.source).scheme.lower()
            if scheme not in _STREAM_SCHEMES:
                raise ValueError(
                    f"a camera URL starts with one of {', '.join(sorted(_STREAM_SCHEMES))}, not {scheme!r}"
                )
            if kind != "url":
                raise ValueError(f"a URL is not kind {kind!r}")
        elif kind == "url":
            raise ValueError("kind 'url' needs a source such as rtsp://host/path")
        if isinstance(self.source, int) and kind not in {"v4l2", "picamera"}:
            raise ValueError(f"a number is a V4L2 camera, not kind {kind!r}")
        if kind == "pattern" and not _PATTERN.fullmatch(str(self.source)):
            raise ValueError(
                "the source of a pattern is 'pattern', or 'pattern:1000' for one that ends after 1000 frames"
            )
        if kind == "picamera" and not (isinstance(self.source, int) or _PICAMERA.fullmatch(self.source)):
            raise ValueError("the source of a picamera is 'picamera', or its number as in 'picamera:1'")
        if kind == "gstreamer" and "!" not in str(self.source):
            raise ValueError("the source of kind 'gstreamer' is a pipeline such as 'v4l2src ! videoconvert'")
        return self

    @model_validator(mode="after")
    def _asks_what_its_kind_can_do(self) -> "CameraConfig":
        kind = self.inferred_kind
        if kind in {"gstreamer", "picamera", "v4l2", "url"} and (self.pace == "fast" or self.loop or self.start_s):
            raise ValueError("pace, loop and start_s are for files; a live camera has one pace and no beginning")
        if self.pace == "fast" and self.fps is not None:
            raise ValueError("pace 'fast' uses every frame as fast as it goes; leave fps out")
        if kind in {"images", "url", "video"} and (self.width or self.height):
            raise ValueError("width and height are for cameras that can be asked; files and streams have their own")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        if (self.snapshot_width is None) != (self.snapshot_height is None):
            raise ValueError("snapshot_width and snapshot_height go together")
        if self.snapshot_width and kind != "picamera":
            raise ValueError("snapshot_width and snapshot_height are for a picamera, which gives two sizes at once")
        if kind != "url" and (self.username or self.password_file):
            raise ValueError("username and password_file are for URLs")
        if self.password_file and not self.username:
            raise ValueError("password_file needs a username")
        return self
