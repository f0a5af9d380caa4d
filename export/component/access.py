"""What a component of ours may do over the nucleus's IPC: its own topics, by name, and nothing else.

`{iot:thingName}` is put in by the nucleus, so one recipe serves a fleet. Cameras and labels are configuration, and are
told by MQTT's `+`, one level each; on a local topic the lite nucleus knows only `*`, so there it stands for that level.
"""

from typing import Any, Literal

__all__ = ["Destination", "access_control"]

Destination = Literal["iot-core", "local"]

_SAID = (
    "status", "info", "health", "gap", "update", "ack/+", "+/event", "+/state", "+/frame", "+/count/+",
    "+/zone/+/count/+", "+/snapshot/+", "+/+/state",
)  # fmt: skip
_HEARD = ("cmd/+", "+/+/set")
_JOBS = ("jobs/start-next", "jobs/+/update", "shadow/name/gluon-edge/update", "shadow/name/gluon-edge/get")
_JOBS_HEARD = (
    "jobs/notify-next",
    "jobs/start-next/+",
    "jobs/+/update/+",
    "shadow/name/gluon-edge/get/+",
    "shadow/name/gluon-edge/update/+",
)


def access_control(
    name: str, *, root: str = "edge", destination: Destination = "iot-core", aws_ml_topic: str | None = None
) -> dict[str, Any]:
    """`accessControl` of the component `name`, as a recipe's DefaultConfiguration has it.

    `aws_ml_topic` is one more topic to publish on: that of `payload = "aws-ml-v1"`.
    """
    base = f"{root}/{{iot:thingName}}"
    said = [f"{base}/{topic}" for topic in _SAID]
    if aws_ml_topic is not None:
        said.append(aws_ml_topic)
    heard = [f"{base}/{topic}" for topic in _HEARD]
    if destination == "local":
        return {
            "aws.greengrass.ipc.pubsub": {
                f"{name}:pubsub:1": _policy("Publish", ["PublishToTopic"], [t.replace("+", "*") for t in said]),
                f"{name}:pubsub:2": _policy("Commands", ["SubscribeToTopic"], heard),
            }
        }
    thing = "$aws/things/{iot:thingName}"
    return {
        "aws.greengrass.ipc.mqttproxy": {
            f"{name}:mqttproxy:1": _policy("Publish", ["PublishToIoTCore"], [*said, *(f"{thing}/{t}" for t in _JOBS)]),
            f"{name}:mqttproxy:2": _policy(
                "Commands", ["SubscribeToIoTCore"], [*heard, *(f"{thing}/{t}" for t in _JOBS_HEARD)]
            ),
        }
    }


def _policy(what: str, operations: list[str], resources: list[str]) -> dict[str, Any]:
    return {
        "policyDescription": f"{what} on the component's own topics",
        "operations": [f"aws.greengrass#{operation}" for operation in operations],
        "resources": resources,
    }
