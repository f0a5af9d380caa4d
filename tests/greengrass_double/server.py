"""A test double of the Greengrass nucleus's IPC: a real Unix socket, the real wire format, a nucleus's limits and tempers.

It does what `limits.py` says of the kind that it plays, and nothing more: whoever talks to it through AWS's own client
learns what a real one would have told them. Faults are switched on from the test's thread.
"""

import asyncio
import base64
import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greengrass_double import eventstream as es
from greengrass_double.limits import LITE, Nucleus, as_text, items
from greengrass_double.policy import allowed, topic_matches


class RefusalError(Exception):
    """An operation that is answered with an error."""

    def __init__(self, kind: str = "ServiceError", text: str = "") -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text


@dataclass
class Subscription:
    client: "Client"
    stream: int
    service: str  # pubsub, mqttproxy, config or validate
    filter: Any


class Double:
    """A nucleus with one component and a cloud behind it. `start` and `stop` at will; what it knows stays."""

    def __init__(
        self,
        socket: Path,
        kind: Nucleus = LITE,
        *,
        config: dict[str, Any] | None = None,
        thing: str = "kerb-1",
        cloud_round_trip_s: float = 0.005,
    ) -> None:
        self.socket, self.kind, self.thing = socket, kind, thing
        self.component = "com.example.GluonEdge"
        self.config = config or {}
        self.tokens = {secrets.token_urlsafe(12)}
        self.cloud_round_trip_s = cloud_round_trip_s
        self.online = True
        self.arrived: list[tuple[str, str, bytes]] = []  # (iot-core or local, topic, payload), as they came
        self.retained: dict[str, bytes] = {}
        self.states: list[str] = []
        self.reports: list[tuple[str, str | None]] = []
        self.refuse: Callable[[str, dict[str, Any]], RefusalError | None] = lambda _op, _args: None
        self.silent = False
        self.errors: Counter[str] = Counter()
        self.most_unacknowledged = 0
        self.largest_frame = 0
        self.connects = 0
        self.refused = 0
        self.pongs = 0
        self._unacknowledged: dict[int, int] = {}
        self._subscriptions: list[Subscription] = []
        self._clients: set[Client] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nucleus-double")
        self._thread.start()

    @property
    def env(self) -> dict[str, str]:
        """What a component finds in its environment."""
        return {
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
            "SVCUID": next(iter(self.tokens)),
            "AWS_IOT_THING_NAME": self.thing,
            "AWS_REGION": "eu-central-1",
            "GGC_VERSION": "2.6.0",
        }

    def start(self) -> "Double":
        async def listen() -> None:
            self.socket.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(lambda r, w: Client(self, r, w).serve(), str(self.socket))

        self._run(listen())
        return self

    def stop(self, *, forget_tokens: bool = False) -> None:
        """Dies, as `kill -9` would have it; with `forget_tokens` it will know no component when it comes back."""

        async def end() -> None:
            if self._server is not None:
                for listening in self._server.sockets:
                    # A connection that asyncio accepts while its server closes would be left open by nobody.
                    self._loop.remove_reader(listening.fileno())
                for _ in range(5):
                    await asyncio.sleep(0)
                self._server.close()
                self._server = None
            await self._drop()
            self._unacknowledged.clear()

        self._run(end())
        if forget_tokens:
            self.tokens = {secrets.token_urlsafe(12)}

    def drop_connections(self) -> None:
        self._run(self._drop())

    def ping(self) -> None:
        """A ping on every connection; a client that knows its protocol answers."""

        async def send() -> None:
            for client in list(self._clients):
                client.send(es.Frame(es.PING))

        self._run(send())

    def close(self) -> None:
        self.stop()

        async def settle() -> None:
            for _ in range(3):  # what was accepted just now is still on its way to `serve`
                await asyncio.sleep(0.01)
                await self._drop()

        self._run(settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def say(self, topic: str, payload: bytes) -> int:
        """Somebody in the cloud publishes; how many subscriptions got it."""
        return self._run(self._deliver("mqttproxy", topic, payload))

    def say_locally(self, topic: str, payload: bytes) -> int:
        """Another component publishes."""
        return self._run(self._deliver("pubsub", topic, payload))

    def subscribed(self, service: str) -> list[Any]:
        return [s.filter for s in list(self._subscriptions) if s.service == service]

    def deploy(self, changes: dict[str, Any]) -> None:
        """A deployment merges new values into the component's configuration; on classic it is asked first."""

        async def merge() -> None:
            merged = _merged(self.config, changes)
            asked = [s for s in self._subscriptions if s.service == "validate"]
            if asked:
                event = {"componentName": self.component, "deploymentId": "d-1", "configuration": self._shown(merged)}
                for s in asked:
                    s.client.event(
                        s.stream, "ValidateConfigurationUpdateEvents", {"validateConfigurationUpdateEvent": event}
                    )
                for _ in range(500):
                    if self.reports:
                        break
                    await asyncio.sleep(0.01)
                if not self.reports or self.reports.pop()[0] != "ACCEPTED":
                    self.errors["rejected deployment"] += 1
                    return
            before, self.config = self.config, merged
            for path in _changed(before, merged):
                for s in [s for s in self._subscriptions if s.service == "config"]:
                    if path[: len(s.filter)] == s.filter:
                        event = {"componentName": self.component, "keyPath": path}
                        s.client.event(s.stream, "ConfigurationUpdateEvents", {"configurationUpdateEvent": event})

        self._run(merge())

    def _shown(self, config: dict[str, Any]) -> Any:
        return as_text(config) if self.kind.only_strings else config

    async def _drop(self) -> None:
        for client in list(self._clients):
            client.hang_up()
        for _ in range(200):
            if not self._clients:
                return
            await asyncio.sleep(0.005)

    async def _deliver(self, service: str, topic: str, payload: bytes) -> int:
        told = 0
        for s in list(self._subscriptions):
            if s.service == service and topic_matches(s.filter, topic):
                if service == "mqttproxy":
                    if len(payload) > self.kind.to_device_bytes:
                        continue
                    message = {"topicName": topic, "payload": base64.b64encode(payload).decode()}
                    s.client.event(s.stream, "IoTCoreMessage", {"message": message})
                else:
                    message = {"message": base64.b64encode(payload).decode(), "context": {"topic": topic}}
                    s.client.event(s.stream, "SubscriptionResponseMessage", {"binaryMessage": message})
                told += 1
        return told

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)


class Client:
    """One connection."""

    def __init__(self, double: Double, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


class HangUp(Exception):  # noqa: N818 - what the nucleus does, not an error of ours
    """The nucleus closes the connection."""


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


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    out = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merged(out[key], value) if both else value
    return out


def _changed(old: Any, new: Any, path: tuple[str, ...] = ()) -> list[list[str]]:
    """The full path of every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [p for key in {**old, **new} for p in _changed(old.get(key), new.get(key), (*path, key))]
    if isinstance(new, dict) and new:
        return [p for key in new for p in _changed(None, new[key], (*path, key))]
    return [list(path)] if old != new else []
