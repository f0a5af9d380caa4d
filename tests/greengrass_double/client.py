"""One component's connection to the double: the frames of the event stream, and each operation with its limits."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greengrass_double import eventstream as es
from greengrass_double.limits import LITE, items
from greengrass_double.policy import allowed

if TYPE_CHECKING:
    from greengrass_double.server import Double


class RefusalError(Exception):
    """An operation that is answered with an error."""

    def __init__(self, kind: str = "ServiceError", text: str = "") -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text


class HangUp(Exception):  # noqa: N818 - what the nucleus does, not an error of ours
    """The nucleus closes the connection."""


@dataclass
class Subscription:
    client: "Client"
    stream: int
    service: str  # pubsub, mqttproxy, config or validate
    filter: Any


class Client:
    """One connection."""

    def __init__(self, double: "Double", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.double, self.reader, self.writer = double, reader, writer
        self.connected = False

    async def serve(self) -> None:
        d = self.double
        d._clients.add(self)
        try:
            while True:
                prelude = await self.reader.readexactly(es.PRELUDE)
                length = es.frame_length(prelude)
                d.largest_frame = max(d.largest_frame, length)
                if length > d.kind.frame_bytes:
                    d.errors["frame too large"] += 1
                    break
                frame = es.decode(prelude + await self.reader.readexactly(length - es.PRELUDE))
                await self.take(frame)
        except (asyncio.IncompleteReadError, ConnectionError, HangUp):
            pass
        except Exception as e:  # noqa: BLE001 - what nobody thought of is to be seen by the test
            d.errors[f"unexpected: {e!r}"] += 1
        finally:
            d._subscriptions = [s for s in d._subscriptions if s.client is not self]
            d._clients.discard(self)
            self.writer.close()

    def hang_up(self) -> None:
        self.writer.transport.abort()

    def send(self, frame: es.Frame) -> None:
        if not self.writer.is_closing():
            self.writer.write(frame.encode())

    def event(
        self, stream: int, model: str, body: dict[str, Any], *, kind: int = es.APPLICATION, flags: int = 0
    ) -> None:
        headers = {":content-type": "application/json", "service-model-type": f"aws.greengrass#{model}"}
        self.send(es.Frame(kind, stream, flags, headers, json.dumps(body).encode()))

    async def take(self, frame: es.Frame) -> None:
        d = self.double
        if not self.connected:
            self.greet(frame)
        elif frame.type == es.PONG:
            d.pongs += 1
        elif frame.stream == 0:
            d.errors["message outside any stream"] += 1  # lite hangs up even on a ping
            raise HangUp
        elif frame.flags & es.TERMINATE:
            d._subscriptions = [s for s in d._subscriptions if (s.client, s.stream) != (self, frame.stream)]
        elif not d.silent:
            self.answer(frame)

    def greet(self, frame: es.Frame) -> None:
        d = self.double
        good = frame.type == es.CONNECT and frame.headers.get(":version") == "0.1.0"
        if good and json.loads(frame.payload).get("authToken") in d.tokens:
            self.connected = True
            d.connects += 1
            self.send(es.Frame(es.CONNECT_ACK, flags=es.ACCEPTED))
            return
        d.refused += 1
        if d.kind.refuses_with_ack:
            self.send(es.Frame(es.CONNECT_ACK))
        raise HangUp

    def answer(self, frame: es.Frame) -> None:
        d = self.double
        operation = str(frame.headers.get("operation", "")).removeprefix("aws.greengrass#")
        try:
            args = json.loads(frame.payload)
            self.check(operation, args)
            body = OPERATIONS[operation](self, frame.stream, args)
        except RefusalError as e:
            d.errors[f"{operation}: {e.kind}"] += 1
            error = {"_message": e.text, "_errorCode": e.kind}
            if d.kind.tells_why:
                error["message"] = e.text
            self.event(frame.stream, e.kind, error, kind=es.ERROR, flags=es.TERMINATE)
            return
        if body is not None:
            self.event(frame.stream, f"{operation}Response", body)

    def check(self, operation: str, args: Any) -> None:
        d = self.double
        if items(args) > d.kind.tree_items:
            raise RefusalError(text="too many items")
        if operation not in d.kind.operations:
            raise RefusalError(text=f"operation {operation} is not supported")
        if (refusal := d.refuse(operation, args)) is not None:
            raise refusal

    def authorize(self, service: str, operation: str, resource: str) -> None:
        d = self.double
        access = d.config.get("accessControl")
        if access is not None and not allowed(access, service, operation, resource, thing=d.thing, kind=d.kind):
            raise RefusalError("UnauthorizedError", "IPC Operation not authorized.")

    def publish_to_topic(self, _stream: int, args: dict[str, Any]) -> dict[str, Any]:
        d, message = self.double, args["publishMessage"]
        if "binaryMessage" in message:
            payload = base64.b64decode(message["binaryMessage"]["message"], validate=True)
        else:
            payload = json.dumps(message["jsonMessage"]["message"]).encode()
        self.authorize("aws.greengrass.ipc.pubsub", "aws.greengrass#PublishToTopic", args["topic"])
        if len(payload) > d.kind.topic_bytes:
            d.errors["local message too large"] += 1
            raise HangUp
        d.arrived.append(("local", args["topic"], payload))
        d._loop.create_task(d._deliver("pubsub", args["topic"], payload))
        return {}

    def publish_to_iot_core(self, _stream: int, args: dict[str, Any]) -> dict[str, Any]:
        d, topic = self.double, args["topicName"]
        payload = base64.b64decode(args.get("payload") or "", validate=True)
        self.authorize("aws.greengrass.ipc.mqttproxy", "aws.greengrass#PublishToIoTCore", topic)
        if len(payload) > d.kind.iot_core_bytes:
            raise RefusalError(text="the payload is too large")
        if not d.online and d.kind is LITE:
            raise RefusalError(text="Failed to publish the message.")
        if str(args.get("qos", "0")) == "1":
            size = len(payload) + len(topic) + 7
            held = d._unacknowledged
            if len(held) >= d.kind.records or sum(held.values()) + size > d.kind.record_bytes:
                raise RefusalError(text="Failed to publish the message.")
            ticket = max(held, default=0) + 1
            held[ticket] = size
            d.most_unacknowledged = max(d.most_unacknowledged, len(held))
            d._loop.call_later(d.cloud_round_trip_s, self.acknowledge, ticket)
        if d.kind.retains and args.get("retain"):
            d.retained[topic] = payload
        d.arrived.append(("iot-core", topic, payload))
        d._loop.create_task(d._deliver("mqttproxy", topic, payload))
        return {}

    def acknowledge(self, ticket: int) -> None:
        """PUBACK, once the cloud can be reached."""
        d = self.double
        if d.online:
            d._unacknowledged.pop(ticket, None)
        elif ticket in d._unacknowledged:
            d._loop.call_later(d.cloud_round_trip_s, self.acknowledge, ticket)

    def subscribe(self, service: str, stream: int, wanted: Any) -> dict[str, Any]:
        self.double._subscriptions.append(Subscription(self, stream, service, wanted))
        return {}

    def subscribe_to_topic(self, stream: int, args: dict[str, Any]) -> dict[str, Any]:
        self.authorize("aws.greengrass.ipc.pubsub", "aws.greengrass#SubscribeToTopic", args["topic"])
        return self.subscribe("pubsub", stream, args["topic"])

    def subscribe_to_iot_core(self, stream: int, args: dict[str, Any]) -> dict[str, Any]:
        self.authorize("aws.greengrass.ipc.mqttproxy", "aws.greengrass#SubscribeToIoTCore", args["topicName"])
        if not self.double.online:
            raise RefusalError(text="Failed to bind the subscription.")
        return self.subscribe("mqttproxy", stream, args["topicName"])

    def get_configuration(self, _stream: int, args: dict[str, Any]) -> dict[str, Any]:
        d, path = self.double, args.get("keyPath") or []
        value: Any = d._shown(d.config)
        for key in path:
            if not isinstance(value, dict) or key not in value:
                raise RefusalError("ResourceNotFoundError", "Key not found")
            value = value[key]
        if not isinstance(value, dict):
            value = {path[-1]: value}
        return {"componentName": args.get("componentName", d.component), "value": value}

    def subscribe_to_configuration(self, stream: int, args: dict[str, Any]) -> dict[str, Any]:
        return self.subscribe("config", stream, args.get("keyPath") or [])

    def subscribe_to_validation(self, stream: int, _args: dict[str, Any]) -> dict[str, Any]:
        return self.subscribe("validate", stream, None)

    def take_report(self, _stream: int, args: dict[str, Any]) -> dict[str, Any]:
        report = args["configurationValidityReport"]
        self.double.reports.append((report["status"], report.get("message")))
        return {}

    def update_state(self, _stream: int, args: dict[str, Any]) -> dict[str, Any]:
        self.double.states.append(args["state"])
        return {}


OPERATIONS: dict[str, Callable[[Client, int, dict[str, Any]], dict[str, Any] | None]] = {
    "PublishToTopic": Client.publish_to_topic,
    "PublishToIoTCore": Client.publish_to_iot_core,
    "SubscribeToTopic": Client.subscribe_to_topic,
    "SubscribeToIoTCore": Client.subscribe_to_iot_core,
    "GetConfiguration": Client.get_configuration,
    "SubscribeToConfigurationUpdate": Client.subscribe_to_configuration,
    "SubscribeToValidateConfigurationUpdates": Client.subscribe_to_validation,
    "SendConfigurationValidityReport": Client.take_report,
    "UpdateState": Client.update_state,
}
