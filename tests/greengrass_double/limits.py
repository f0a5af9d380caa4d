"""What a nucleus takes, and how it says no: the lite nucleus 2.6 (measured) and the classic one."""

from dataclasses import dataclass
from typing import Any

COMMON = frozenset({
    "PublishToTopic", "SubscribeToTopic", "PublishToIoTCore", "SubscribeToIoTCore", "GetConfiguration",
    "UpdateConfiguration", "SubscribeToConfigurationUpdate", "UpdateState", "CreateLocalDeployment",
    "RestartComponent", "ValidateAuthorizationToken",
})  # fmt: skip
CLASSIC_ONLY = frozenset({"SubscribeToValidateConfigurationUpdates", "SendConfigurationValidityReport"})


@dataclass(frozen=True)
class Nucleus:
    """A kind of nucleus. Bytes of payloads are after base64 is undone."""

    name: str
    operations: frozenset[str]
    frame_bytes: int  # a larger frame closes the connection
    topic_bytes: int  # a larger binary message on a local topic closes the connection
    iot_core_bytes: int  # a larger payload is a ServiceError
    to_device_bytes: int  # a larger message from the cloud never arrives
    tree_items: int  # more items in a JSON document are a ServiceError
    records: int  # QoS 1 messages that the cloud has not acknowledged
    record_bytes: int
    tells_why: bool  # whether the error's text is where AWS's client reads it
    refuses_with_ack: bool  # an unknown token is answered, not just hung up on
    only_strings: bool  # every scalar of the configuration is text
    retains: bool
    mqtt_wildcards_everywhere: bool  # + and # in the access control of local topics


LITE = Nucleus(
    "lite", COMMON, 10_000, 7_290, 7_275, 5_000, 255, 10, 15_000,
    tells_why=False, refuses_with_ack=False, only_strings=True, retains=False, mqtt_wildcards_everywhere=False,
)  # fmt: skip

CLASSIC = Nucleus(
    "classic", COMMON | CLASSIC_ONLY, 1 << 24, 128 * 1024, 128 * 1024, 128 * 1024, 1 << 20, 1 << 20, 2_500_000,
    tells_why=True, refuses_with_ack=True, only_strings=False, retains=True, mqtt_wildcards_everywhere=True,
)  # fmt: skip


def items(value: Any) -> int:
    """How many objects the lite nucleus needs for a JSON value: one a value, and one a key."""
    if isinstance(value, dict):
        return 1 + sum(1 + items(v) for v in value.values())
    if isinstance(value, list):
        return 1 + sum(items(v) for v in value)
    return 1


def as_text(value: Any) -> Any:
    """A configuration as the lite nucleus hands it out: every scalar of its YAML is a string."""
    if isinstance(value, dict):
        return {k: as_text(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_text(v) for v in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
