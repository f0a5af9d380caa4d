"""The whole configuration of an agent as one frozen, typed and bounded value; edge.config.file reads it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.config.cameras import CameraConfig
from edge.config.fields import Line, LocalPath, Name, Seconds, Section
from edge.config.health import GovernorConfig, HealthConfig
from edge.config.model import ModelConfig
from edge.config.mqtt import MqttConfig
from edge.config.state import default_state_dir

__all__ = [
    "AwsConfig",
    "AwsMlConfig",
    "CommandsConfig",
    "Config",
    "EventsConfig",
    "GreengrassConfig",
    "HomeAssistantConfig",
    "SnapshotsConfig",
    "SpoolConfig",
    "UpdatesConfig",
]

Verb = Literal["ping", "detect", "threshold", "restart_camera", "snapshot", "replay", "receipt", "reload", "update"]
_RESERVED_CAMERAS = frozenset({"status", "info", "health", "gap", "cmd", "ack", "update"})


class EventsConfig(Section):
    """`[events]`: what of the results is told, and how often."""

    labels: Annotated[tuple[Line, ...], Field(max_length=1000)] = ()
    hold_s: Annotated[float, Field(ge=0, le=3600)] = 2.0
    cooldown_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
    follow: bool = True
    counts: bool = True
    frames_per_s: Annotated[float, Field(ge=0, le=1000)] = 0.0


class SnapshotsConfig(Section):
    """`[snapshots]`: whether pictures leave the node at all, when, and how large they may be."""

    enabled: bool = False
    on: Annotated[tuple[Literal["new", "update", "end"], ...], Field(max_length=3)] = ("new",)
    max_bytes: Annotated[int, Field(ge=4096, le=131_000)] = 64 << 10
    every_s: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    retain: bool = False


class SpoolConfig(Section):
    """`[spool]`: the bounds of what waits on the disk for the broker, and how often it is written."""

    max_bytes: Annotated[int, Field(ge=1 << 18, le=1 << 38)] = 256 << 20
    max_age_s: Annotated[float, Field(ge=60, le=10 * 366 * 86_400)] = 7 * 86_400
    group_s: Annotated[float, Field(ge=0.0, le=5)] = 0.3
    drain_per_s: Annotated[float, Field(gt=0, le=1e6)] = 500.0
    ballast_bytes: Annotated[int, Field(ge=0, le=1 << 30)] = 4 << 20
    keep_acknowledged: bool = False


class CommandsConfig(Section):
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


class HomeAssistantConfig(Section):
    """`[homeassistant]`: whether Home Assistant is told about the node, and where."""

    enabled: bool = True
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,2}$")] = (
        "homeassistant"
    )


class GreengrassConfig(Section):
    """`[greengrass]`: where the nucleus is to take messages, and which kind of nucleus it is."""

    destination: Literal["iot-core", "local"] = "iot-core"
    nucleus: Literal["auto", "lite", "classic"] = "auto"


class AwsMlConfig(Section):
    """`[aws_ml]`: the messages of AWS's own ML components, when `payload` asks for them.

    `boundaries` is whose: DLR's, in pixels of the model's input, or TensorFlow Lite's, y before x as shares of it.
    """

    topic: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f+#$][^\x00-\x1f\x7f+#]{0,255}$")] | None = None
    every_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    results: Annotated[int, Field(ge=1, le=100)] = 5
    boundaries: Literal["dlr", "tflite"] = "dlr"


class UpdatesConfig(Section):
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
    watch_longest_s: Seconds = 3600.0


class AwsConfig(Section):
    """`[aws]`: device management by AWS IoT Core; off without a thing."""

    thing: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9:_-]{1,128}$")] | None = None
    jobs: bool = True
    shadow: Annotated[str, StringConstraints(pattern=r"^[$a-zA-Z0-9:_-]{1,64}$")] | None = "gluon-edge"


class Config(Section):
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
    governor: GovernorConfig = GovernorConfig()
    updates: UpdatesConfig = UpdatesConfig()
    aws: AwsConfig = AwsConfig()
    greengrass: GreengrassConfig = GreengrassConfig()
    aws_ml: AwsMlConfig = AwsMlConfig()
    state_dir: LocalPath | None = None

    @property
    def state_folder(self) -> Path:
        """Where the node keeps what must outlive it: as configured, else where it is usual here."""
        return self.state_dir or default_state_dir()

    @property
    def sessions(self) -> int:
        """How many models look at once: that of `[model]` where a camera shares it, and each that a camera has to itself."""
        own = [camera.model is not None for camera in self.cameras.values() if camera.enabled]
        return max(1, sum(own) + (not all(own)))

    @field_validator("cameras")
    @classmethod
    def _names_are_free(cls, cameras: dict[str, CameraConfig]) -> dict[str, CameraConfig]:
        taken = sorted(_RESERVED_CAMERAS & cameras.keys())
        if taken:
            raise ValueError(f"{taken[0]!r} is a topic of the node itself; give the camera another name")
        return cameras
