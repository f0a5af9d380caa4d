"""The Greengrass nucleus, as a component speaks to it: one IPC client for the life of the process, made by awsiotsdk.

Requests are answered on awsiotsdk's own thread, where only a deque may be filled; what `connect` does may block. The
library is large and is imported when the client is made, so that a node without Greengrass never pays for it.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Literal, NoReturn

from edge.errors import ConfigError, TransportError, TransportRefusedError
from edge.transports.component import ComponentAddress, Then
from edge.transports.questions import NoError, Questions

__all__ = ["Nucleus", "NucleusKind"]

log = logging.getLogger(__name__)

NucleusKind = Literal["lite", "classic"]
_GIVEN_UP_AFTER = 5


class Nucleus:
    """The connection. `on_given_up` is told, once, when the nucleus will not know this process any more.

    The token that a component is started with dies with the lite nucleus's IPC daemon: from then on every connection
    is refused, and only a new start of the component brings a new one.

    Raises:
        ConfigError: when awsiotsdk is not installed.
    """

    def __init__(
        self,
        address: ComponentAddress,
        on_given_up: Callable[[str], None] = lambda _reason: None,
        *,
        answer_s: float = 2.0,
    ) -> None:
        try:
            import awsiot.eventstreamrpc as rpc
            from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup, SocketDomain, SocketOptions
            from awsiot.greengrasscoreipc import model
            from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient
            from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
        except ImportError as e:
            raise ConfigError(f"Greengrass needs awsiotsdk: pip install 'gluon-edge[greengrass]' ({e})") from e
        logging.getLogger(rpc.__name__).setLevel(logging.CRITICAL)  # what it says is said here, with what to do
        self.address = address
        self._on_given_up = on_given_up
        self._answer_s = answer_s
        self._rpc, self._model = rpc, model
        self._questions = Questions(rpc, model, answer_s=answer_s)
        loop = EventLoopGroup(1)
        options = SocketOptions()
        options.domain = SocketDomain.Local
        self._connection = rpc.Connection(
            host_name=address.socket,
            port=0,
            bootstrap=ClientBootstrap(loop, DefaultHostResolver(loop)),
            socket_options=options,
            connect_message_amender=rpc.MessageAmendment.create_static_authtoken_amender(address.token),
        )
        self._ipc = GreengrassCoreIPCClientV2(GreengrassCoreIPCClient(self._connection), executor=None)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[str], None]] = []
        self._refused = 0
        self._closed = False
        self.connected = False
        self.connects = 0
        self.kind: NucleusKind = "lite"
        self.configuration_changed: Callable[[], None] | None = None
        """Called on awsiotsdk's thread when the component's configuration has changed, or may have."""
        self.validator: Callable[[dict[str, Any]], str | None] = lambda _configuration: None
        """Says on awsiotsdk's thread, quickly, what is wrong with the configuration that a deployment brings."""

    def on_lost(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Has `listener` told, on awsiotsdk's thread, that the connection is lost; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def connect(self) -> None:
        """Connects if there is no connection; any thread may. Blocks a few seconds at most.

        Raises:
            TransportError: nobody listens, or does not answer.
            TransportRefusedError: the nucleus listens and does not know us.
        """
        with self._lock:
            if self.connected or self._closed:
                return
            try:
                self._connection.connect(self._lifecycle()).result(self._answer_s)
            except FutureTimeoutError as e:
                self._hang_up()
                raise TransportError("the nucleus takes the connection but does not answer") from e
            except Exception as e:  # noqa: BLE001 - the library's errors have no common ancestor
                self._fail(e)
            self._refused = 0
            self.connects += 1
            self.connected = True
            try:
                self.kind = "classic" if self._offer_validation() else "lite"
                self._watch_configuration()
            except TransportError:
                self._hang_up()
                raise

    def drop(self) -> None:
        """Hangs up, so that the next `connect` makes a new connection."""
        with self._lock:
            self._hang_up()

    def close(self) -> None:
        """Hangs up for good."""
        with self._lock:
            self._closed = True
            self._hang_up()

    def publish(self, topic: str, payload: bytes, *, qos: int, local: bool, retain: bool, then: Then) -> None:
        """Publishes to AWS IoT Core, or to this device's components; the answer goes to `then`."""
        model = self._model
        if local:
            message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
            self._questions.ask(lambda: self._ipc.publish_to_topic_async(topic=topic, publish_message=message), then)
            return
        more = {"retain": True} if retain else {}
        ask = self._ipc.publish_to_iot_core_async
        self._questions.ask(lambda: ask(topic_name=topic, qos=str(qos), payload=payload, **more), then)

    def subscribe(
        self, wanted: str, *, local: bool, heard: Callable[[str, bytes], None], closed: Callable[[], None], then: Then
    ) -> None:
        """Hears topics, with MQTT's wildcards; `heard` and `closed` are called on awsiotsdk's thread."""

        def take_local(event: Any) -> None:
            message = event.binary_message or event.json_message
            if message is not None:
                topic = getattr(message.context, "topic", None) or wanted
                heard(topic, _bytes(message.message))

        def take_cloud(event: Any) -> None:
            if event.message is not None:
                heard(event.message.topic_name or wanted, _bytes(event.message.payload))

        def ask() -> Any:
            if local:
                return self._ipc.subscribe_to_topic_async(
                    topic=wanted, on_stream_event=take_local, on_stream_error=_go_on, on_stream_closed=closed
                )[0]
            return self._ipc.subscribe_to_iot_core_async(
                topic_name=wanted, qos="1", on_stream_event=take_cloud, on_stream_error=_go_on, on_stream_closed=closed
            )[0]

        self._questions.ask(ask, then)

    def configuration(self) -> dict[str, Any]:
        """This component's whole configuration, as the nucleus has it.

        Raises:
            TransportError: when there is no answer, or it is no.
        """
        value = self._questions.get(lambda: self._ipc.get_configuration_async(key_path=[])).value
        return dict(value or {})

    def tell_state(self, state: Literal["RUNNING", "ERRORED"]) -> bool:
        """Tells how the component is; whether the nucleus took it."""
        try:
            self._questions.get(lambda: self._ipc.update_state_async(state=state))
        except TransportError as e:
            log.info("the nucleus was not told %s: %s", state, e)
            return False
        return True

    def _offer_validation(self) -> bool:
        """Asks to be asked before a deployment changes the configuration: which only the classic nucleus does."""

        def asked(event: Any) -> None:
            request = event.validate_configuration_update_event
            if request is None:
                return
            problem = self.validator(dict(request.configuration or {}))
            report = self._model.ConfigurationValidityReport(
                status="REJECTED" if problem else "ACCEPTED", deployment_id=request.deployment_id, message=problem
            )
            self._ipc.send_configuration_validity_report_async(configuration_validity_report=report)

        try:
            self._questions.get(
                lambda: self._ipc.subscribe_to_validate_configuration_updates_async(
                    on_stream_event=asked, on_stream_error=_go_on
                )[0]
            )
        except NoError as e:
            log.debug("deployments are not validated here: %s", e)
            return False
        return True

    def _watch_configuration(self) -> None:
        changed = self.configuration_changed
        if changed is None:
            return
        try:
            self._questions.get(
                lambda: self._ipc.subscribe_to_configuration_update_async(
                    key_path=[], on_stream_event=lambda _event: changed(), on_stream_error=_go_on
                )[0]
            )
        except NoError as e:
            log.warning("changes of the component's configuration will not be seen: %s", e)
        if self.connects > 1:
            changed()  # it may have while we were away

    def _fail(self, error: Exception) -> NoReturn:
        """What a connection that did not come about means."""
        refused = isinstance(error, self._rpc.AccessDeniedError) or getattr(error, "name", "") == "AWS_IO_SOCKET_CLOSED"
        if not refused:
            self._refused = 0
            raise TransportError(f"the nucleus cannot be reached at {self.address.socket}: {error}") from error
        # The lite nucleus hangs up on a token that it does not know; one that is just dying does too, but not for long.
        self._refused += 1
        reason = "the nucleus does not know this component any more (its SVCUID is of an earlier run)"
        if self._refused == _GIVEN_UP_AFTER:
            self._on_given_up(f"{reason}; ending, so that it starts the component afresh")
        if self._refused >= _GIVEN_UP_AFTER:
            raise TransportRefusedError(reason) from error
        raise TransportError(f"the nucleus hung up on us ({self._refused} times in a row)") from error

    def _hang_up(self) -> None:
        self.connected = False
        try:
            self._connection.close().result(self._answer_s)
        except FutureTimeoutError:
            log.warning("the connection to the nucleus does not close")
        except Exception as e:  # noqa: BLE001 - why it was closed before
            log.debug("the connection to the nucleus was closed: %s", e)

    def _lost(self, reason: Exception | None) -> None:
        self.connected = False
        if not self._closed:
            for listener in list(self._listeners):
                listener(str(reason or "closed by us"))

    def _lifecycle(self) -> Any:
        nucleus = self

        class Lifecycle(self._rpc.LifecycleHandler):  # type: ignore[misc,name-defined]
            def on_disconnect(self, reason: Exception | None) -> None:
                nucleus._lost(reason)

            def on_error(self, error: Exception) -> bool:
                log.warning("the nucleus reports a protocol error: %s", error)
                return True

            def on_ping(self, headers: Any, payload: bytes) -> None:
                del headers
                nucleus._connection.send_ping_response(nucleus._rpc.MessageAmendment(payload=payload))

        return Lifecycle()


def _go_on(_error: Exception) -> bool:
    """One message that cannot be read must not end a subscription."""
    return False


def _bytes(value: Any) -> bytes:
    import json

    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
