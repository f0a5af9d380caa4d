"""The whole configuration of an agent as one frozen, typed and bounded value; edge.configfile reads it."""

import os
import platform
import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "Address",
    "AwsConfig",
    "AwsMlConfig",
    "CameraConfig",
    "CameraKind",
    "CommandsConfig",
    "Config",
    "EventsConfig",
    "GreengrassConfig",
    "HealthConfig",
    "HomeAssistantConfig",
    "ModelConfig",
    "MotionConfig",
    "MqttConfig",
    "SnapshotsConfig",
    "SpoolConfig",
    "UpdatesConfig",
]

CameraKind = Literal["gstreamer", "images", "pattern", "picamera", "url", "v4l2", "video"]
NAME = re.compile(r"[a-z0-9_-]{1,64}")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https"})
_PATTERN = re.compile(r"pattern(:[1-9][0-9]{0,9})?")
_PICAMERA = re.compile(r"picamera(:[0-9]{1,2})?")
_RESERVED_CAMERAS = frozenset({"status", "info", "health", "gap", "cmd", "ack", "update"})


def _kind_by_words(source: str, kind: CameraKind | None) -> CameraKind | None:
    """The kind of a source that is no path: `pattern`, `picamera:1`, `v4l2src ! ...`; None for all others."""
    if kind in {"gstreamer", "pattern", "picamera"}:
        return kind
    if kind is None and _PATTERN.fullmatch(source):
        return "pattern"
    if kind is None and _PICAMERA.fullmatch(source):
        return "picamera"
    return "gstreamer" if kind is None and " ! " in source else None


def _from_the_files_folder(path: Path, info: ValidationInfo) -> Path:
    base: Path | None = (info.context or {}).get("folder")
    if path.parts[:1] == (_CREDENTIALS,) and (credentials := os.environ.get(_CREDENTIALS[1:])):
        return Path(credentials, *path.parts[1:])
    path = path.expanduser()
    return base / path if base is not None else path


_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
"""Where systemd puts the secrets of a service (LoadCredential=)."""

LocalPath = Annotated[Path, AfterValidator(_from_the_files_folder)]
"""A path as written, taken from the folder of the configuration file when it is relative."""

Verb = Literal["ping", "detect", "threshold", "restart_camera", "snapshot", "replay", "receipt", "reload", "update"]
Provider = Literal["cpu", "xnnpack", "openvino", "cuda", "tensorrt"]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelConfig(_Section):
    """`[model]`: which bundle, and how it runs."""

    bundle: LocalPath
    keys: Annotated[tuple[LocalPath, ...], Field(max_length=16)] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    providers: Annotated[tuple[Provider, ...], Field(min_length=1, max_length=8)] | None = None
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    precision: Literal["model", "half"] = "model"
    device: Annotated[int, Field(ge=0, le=63)] = 0
    low_memory: bool = False
    tuned: bool = True


Share = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[tuple[Share, Share], ...], Field(min_length=3, max_length=64)]
"""Corners x, y as shares of the picture's width and height."""


class MotionConfig(_Section):
    """`[cameras.NAME.motion]`: the model rests while nothing moves."""

    enabled: bool = True
    algorithm: Literal["mog2", "knn"] = "mog2"
    every_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    linger_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    min_area: Annotated[float, Field(gt=0, le=1)] = 0.001
    threshold: Annotated[float, Field(gt=0, le=1000)] = 16.0
    fps: Annotated[float, Field(gt=0, le=100)] = 10.0
    masks: Annotated[tuple[Polygon, ...], Field(max_length=64)] = ()


class CameraConfig(_Section):
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
    username: Line | None = None
    password_file: LocalPath | None = None
    open_timeout_s: Annotated[float, Field(gt=0, le=60)] = 4.0
    read_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    frozen_s: Annotated[float, Field(ge=0, le=3600)] = 3.0
    motion: MotionConfig | None = None
    privacy: Annotated[tuple[Polygon, ...], Field(max_length=64)] = ()
    recovery_command: Annotated[tuple[Line, ...], Field(max_length=32)] = ()
    recovery_after_s: Annotated[float, Field(ge=5, le=86_400)] = 60.0
    recovery_per_day: Annotated[int, Field(ge=1, le=100)] = 3

    @field_validator("source")
    @classmethod
    def _path_from_the_files_folder(cls, source: int | str, info: ValidationInfo) -> int | str:
        if isinstance(source, int) or "://" in source or _kind_by_words(source, info.data.get("kind")) is not None:
            return source
        path = str(_from_the_files_folder(Path(source), info))
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
        if kind != "url" and (self.username or self.password_file):
            raise ValueError("username and password_file are for URLs")
        if self.password_file and not self.username:
            raise ValueError("password_file needs a username")
        return self


class MqttConfig(_Section):
    """`[mqtt]`: the broker, and the names under which this node speaks."""

    broker: Line = "mqtt://localhost:1883"
    fallbacks: Annotated[tuple[Line, ...], Field(max_length=8)] = ()
    alpn: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | None = None
    node: Name = Field(default_factory=lambda: node_from_host(os.environ.get("AWS_IOT_THING_NAME") or platform.node()))
    root: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?$")] = "edge"
    client_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")] | None = None
    version: Literal["auto", "5", "3.1.1"] = "auto"
    username: Line | None = None
    password_file: LocalPath | None = None
    ca_file: LocalPath | None = None
    cert_file: LocalPath | None = None
    key_file: LocalPath | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=1200)] = 20
    connect_timeout_s: Annotated[float, Field(gt=0, le=4)] = 3.0
    reconnect_min_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    reconnect_max_s: Annotated[float, Field(gt=0, le=3600)] = 60.0

    @field_validator("broker")
    @classmethod
    def _is_a_broker(cls, broker: str) -> str:
        broker_address(broker)
        return broker

    @field_validator("fallbacks")
    @classmethod
    def _are_brokers(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        for broker in brokers:
            broker_address(broker)
        return brokers

    @model_validator(mode="after")
    def _fits_together(self) -> "MqttConfig":
        if self.password_file and not self.username:
            raise ValueError("password_file needs a username")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file, cert_file and key_file need a broker that starts with mqtts://")
        if self.reconnect_min_s > self.reconnect_max_s:
            raise ValueError("reconnect_min_s is more than reconnect_max_s")
        return self

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return any(broker_address(url).tls for url in (self.broker, *self.fallbacks))


class EventsConfig(_Section):
    """`[events]`: what of the results is told, and how often."""

    labels: Annotated[tuple[Line, ...], Field(max_length=1000)] = ()
    hold_s: Annotated[float, Field(ge=0, le=3600)] = 2.0
    cooldown_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
    counts: bool = True
    frames_per_s: Annotated[float, Field(ge=0, le=1000)] = 0.0


class SnapshotsConfig(_Section):
    """`[snapshots]`: whether pictures leave the node at all, when, and how large they may be."""

    enabled: bool = False
    on: Annotated[tuple[Literal["new", "update", "end"], ...], Field(max_length=3)] = ("new",)
    max_bytes: Annotated[int, Field(ge=4096, le=131_000)] = 64 << 10
    every_s: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    retain: bool = False


class SpoolConfig(_Section):
    """`[spool]`: the bounds of what waits on the disk for the broker, and how often it is written."""

    max_bytes: Annotated[int, Field(ge=1 << 18, le=1 << 38)] = 256 << 20
    max_age_s: Annotated[float, Field(ge=60, le=10 * 366 * 86_400)] = 7 * 86_400
    group_s: Annotated[float, Field(ge=0.0, le=5)] = 0.3
    drain_per_s: Annotated[float, Field(gt=0, le=1e6)] = 500.0
    ballast_bytes: Annotated[int, Field(ge=0, le=1 << 30)] = 4 << 20
    keep_acknowledged: bool = False


class CommandsConfig(_Section):
    """`[commands]`: what may be asked of the node over the wire, and by whom."""

    enabled: bool = True
    allow: tuple[Verb, ...] = ("ping", "detect", "threshold", "restart_camera", "snapshot", "replay", "receipt")
    signed: bool = False
    keys: Annotated[tuple[LocalPath, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> "CommandsConfig":
        if self.signed and not self.keys:
            raise ValueError("signed needs keys: the files with the public keys that may sign")
        return self


class HomeAssistantConfig(_Section):
    """`[homeassistant]`: whether Home Assistant is told about the node, and where."""

    enabled: bool = True
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,2}$")] = (
        "homeassistant"
    )


class GreengrassConfig(_Section):
    """`[greengrass]`: where the nucleus is to take messages, and which kind of nucleus it is."""

    destination: Literal["iot-core", "local"] = "iot-core"
    nucleus: Literal["auto", "lite", "classic"] = "auto"


class AwsMlConfig(_Section):
    """`[aws_ml]`: the messages of AWS's own ML components, when `payload` asks for them.

    `boundaries` is whose: DLR's, in pixels of the model's input, or TensorFlow Lite's, y before x as shares of it.
    """

    topic: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f+#$][^\x00-\x1f\x7f+#]{0,255}$")] | None = None
    every_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    results: Annotated[int, Field(ge=1, le=100)] = 5
    boundaries: Literal["dlr", "tflite"] = "dlr"


class HealthConfig(_Section):
    """`[health]`: the node's own figures."""

    every_s: Seconds = 10.0


class UpdatesConfig(_Section):
    """`[updates]`: what a new model may take, and what it must prove before it takes over."""

    enabled: bool = True
    max_bytes: Annotated[int, Field(ge=1 << 10, le=1 << 36)] = 512 << 20
    ca_file: LocalPath | None = None
    probe_s: Seconds = 120.0
    max_memory_mb: Annotated[int, Field(ge=64, le=1 << 20)] = 2048
    max_cpu_s: Annotated[int, Field(ge=1, le=86_400)] = 600
    shadow_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    shadow_frames: Annotated[int, Field(ge=0, le=100_000)] = 20
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_slowdown: Annotated[float, Field(gt=0, le=1e6)] = 2.0
    watch_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0


class AwsConfig(_Section):
    """`[aws]`: device management by AWS IoT Core; off without a thing."""

    thing: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9:_-]{1,128}$")] | None = None
    jobs: bool = True
    shadow: Annotated[str, StringConstraints(pattern=r"^[$a-zA-Z0-9:_-]{1,64}$")] | None = "gluon-edge"


class Config(_Section):
    """An agent's configuration."""

    model: ModelConfig
    cameras: Annotated[dict[Name, CameraConfig], Field(min_length=1, max_length=64)]
    transport: Literal["mqtt", "greengrass", "stdout", "disabled"] = "mqtt"
    payload: Literal["native", "aws-ml-v1"] = "native"
    mqtt: MqttConfig = Field(default_factory=MqttConfig)
    events: EventsConfig = EventsConfig()
    snapshots: SnapshotsConfig = SnapshotsConfig()
    spool: SpoolConfig = SpoolConfig()
    commands: CommandsConfig = CommandsConfig()
    homeassistant: HomeAssistantConfig = HomeAssistantConfig()
    health: HealthConfig = HealthConfig()
    updates: UpdatesConfig = UpdatesConfig()
    aws: AwsConfig = AwsConfig()
    greengrass: GreengrassConfig = GreengrassConfig()
    aws_ml: AwsMlConfig = AwsMlConfig()
    state_dir: LocalPath | None = None

    @field_validator("cameras")
    @classmethod
    def _names_are_free(cls, cameras: dict[str, CameraConfig]) -> dict[str, CameraConfig]:
        taken = sorted(_RESERVED_CAMERAS & cameras.keys())
        if taken:
            raise ValueError(f"{taken[0]!r} is a topic of the node itself; give the camera another name")
        return cameras


class Address(NamedTuple):
    """Where a broker listens; `path` is that of its WebSocket, None for plain TCP."""

    host: str
    port: int
    tls: bool
    path: str | None = None


_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


def broker_address(url: str) -> Address:
    """Where `mqtt://host[:port]`, `mqtts://host[:port]`, `ws://host[:port][/path]` or `wss://...` is.

    Raises:
        ValueError: saying how a broker's URL looks.
    """
    shape = "a broker looks like mqtt://host:1883, mqtts://host:8883 or wss://host:443/mqtt"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(shape) from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong in the URL; use username and password_file")
    web = parts.scheme in {"ws", "wss"}
    if parts.scheme not in _PORTS or not host or (not web and parts.path not in {"", "/"}) or parts.query or port == 0:
        raise ValueError(shape)
    path = (parts.path if parts.path not in {"", "/"} else "/mqtt") if web else None
    return Address(host, port or _PORTS[parts.scheme], parts.scheme in {"mqtts", "wss"}, path)


def node_from_host(host: str) -> str:
    """A node's name made of a host's name: `Kerb-1.local` -> `kerb-1`."""
    return re.sub(r"[^a-z0-9_-]", "-", host.partition(".")[0].lower())[:64] or "node"
