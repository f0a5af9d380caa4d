"""A test double of the Greengrass nucleus's IPC: a real Unix socket, the real wire format, a nucleus's limits and tempers.

It does what `limits.py` says of the kind that it plays, and nothing more: whoever talks to it through AWS's own client
learns what a real one would have told them. Faults are switched on from the test's thread.
"""

import asyncio
import base64
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from greengrass_double import eventstream as es
from greengrass_double.client import Client, RefusalError, Subscription
from greengrass_double.limits import LITE, Nucleus, as_text
from greengrass_double.policy import topic_matches


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
