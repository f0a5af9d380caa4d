"""Where the Greengrass tests run: a nucleus to connect to, and a second client of AWS's own that watches and speaks."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup, SocketDomain, SocketOptions
from awsiot.eventstreamrpc import Connection, LifecycleHandler, MessageAmendment
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

from edge.transports import Acknowledged, Connected
from edge.transports.component import ComponentAddress
from edge.transports.greengrass import GreengrassTransport
from edge.transports.nucleus import Nucleus


def until(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s in vain")


class Ear:
    """What a subscriber hears, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def hears(self, n: int, seconds: float = 40.0) -> list[tuple[str, bytes]]:
        until(lambda: len(self.heard) >= n, seconds)
        return list(self.heard)


class Place:
    """A nucleus, spoken to by the agent's transport and by an observer of its own."""

    def __init__(self, env: dict[str, str], **how: Any) -> None:
        address = ComponentAddress.from_environment(env)
        assert address is not None
        self.thing = address.thing or "thing"
        self.given_up: list[str] = []
        self.nucleus = Nucleus(address, self.given_up.append)
        self.observer = _client(address)
        self._how = how
        self._transports: list[GreengrassTransport] = []

    def transport(self, destination: Any, **how: Any) -> GreengrassTransport:
        hello = f"edge/{self.thing}/status"
        made = GreengrassTransport(self.nucleus, destination=destination, hello=hello, levels=3, **{**self._how, **how})
        self._transports.append(made)
        made.connect(lambda: None)
        until(lambda: any(isinstance(n, Connected) for n in made.notices()))
        return made

    def listen(self, destination: str, wanted: str) -> Ear:
        ear = Ear()

        def local(event: Any) -> None:
            ear.heard.append((event.binary_message.context.topic, event.binary_message.message))

        def cloud(event: Any) -> None:
            ear.heard.append((event.message.topic_name, event.message.payload))

        if destination == "local":
            self.observer.subscribe_to_topic(topic=wanted, on_stream_event=local)
        else:
            self.observer.subscribe_to_iot_core(topic_name=wanted, qos="1", on_stream_event=cloud)
        return ear

    def say(self, destination: str, topic: str, payload: bytes) -> None:
        if destination == "local":
            message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
            self.observer.publish_to_topic(topic=topic, publish_message=message)
        else:
            self.observer.publish_to_iot_core(topic_name=topic, qos="1", payload=payload)

    @staticmethod
    def collect(transport: GreengrassTransport, n: int, seconds: float = 40.0) -> list[Any]:
        """The notices until `n` messages have their answer."""
        found: list[Any] = []

        def enough() -> bool:
            found.extend(transport.notices())
            return sum(isinstance(x, Acknowledged) for x in found) >= n

        until(enough, seconds)
        return found

    def close(self) -> None:
        for transport in self._transports:
            transport.disconnect()
        self.nucleus.close()
        with contextlib.suppress(Exception):
            self.observer.close().result(5)


def _client(address: ComponentAddress) -> GreengrassCoreIPCClientV2:
    loop, options = EventLoopGroup(1), SocketOptions()
    options.domain = SocketDomain.Local
    connection = Connection(
        host_name=address.socket,
        port=0,
        bootstrap=ClientBootstrap(loop, DefaultHostResolver(loop)),
        socket_options=options,
        connect_message_amender=MessageAmendment.create_static_authtoken_amender(address.token),
    )
    connection.connect(LifecycleHandler()).result(5)
    return GreengrassCoreIPCClientV2(GreengrassCoreIPCClient(connection), executor=ThreadPoolExecutor(1))
