"""The configuration of an agent: one frozen value, a section a class; edge.config.file reads it from its file."""

from edge.config.cameras import IMAGE_SUFFIXES, CameraConfig, CameraKind, MotionConfig, ZoneConfig
from edge.config.config import (
    AwsConfig,
    AwsMlConfig,
    CommandsConfig,
    Config,
    EventsConfig,
    GreengrassConfig,
    HomeAssistantConfig,
    SnapshotsConfig,
    SpoolConfig,
    UpdatesConfig,
)
from edge.config.health import GovernorConfig, HealthConfig
from edge.config.model import ModelConfig
from edge.config.mqtt import Address, MqttConfig, broker_address, node_from_host

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
    "GovernorConfig",
    "GreengrassConfig",
    "HealthConfig",
    "HomeAssistantConfig",
    "ModelConfig",
    "MotionConfig",
    "MqttConfig",
    "SnapshotsConfig",
    "SpoolConfig",
    "UpdatesConfig",
    "ZoneConfig",
    "broker_address",
    "node_from_host",
]
