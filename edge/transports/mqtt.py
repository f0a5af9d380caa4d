"""MQTT 5, or 3.1.1 where the broker knows no better, by paho-mqtt; which is the transport and keeps nothing.

Each connection is a client of its own: paho hands its whole queue to a new connection at once, and its own backoff
has no jitter. Its callbacks only append to a deque; everything else happens on the uplink's thread.
"""

import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.message import NO_EXTRAS, Extras
from edge.transports.mqttsettings import MqttSettings, reason_of, tls_context
from edge.transports.transport import Acknowledged, Connected, Disconnected, Notice, Received, Verdict, Will

__all__ = ["MqttSettings", "MqttTransport"]

_WINDOW = 20
_FILTERS_AT_ONCE = 8
# Of MQTT 5's reason codes: what the message itself is to blame for.
_NEVER = frozenset({0x90, 0x95, 0x99})  # topic name invalid, packet too large, payload format invalid
_DENIED = 0x87
_NOT_REFUSED = frozenset({0x80, 0x83, 0x88, 0x89, 0x97, 0x9F})  # trouble of the broker's that passes by itself
_WRONG_VERSION = 0x84
_TAKEN_OVER = 0x8E  # of a DISCONNECT, MQTT 5 only: 3.1.1 has no word for it


class MqttTransport:
    """A connection to a broker, made anew by each `connect`; to the first that can be reached of several.

    Raises:
        ConfigError: when the TLS files cannot be used.
    """

    def __init__(self, *brokers: MqttSettings, will: Will | None = None) -> None:
        self._remotes = [_Remote(b, tls_context(b) if b.tls else None, five=b.version != "3.1.1") for b in brokers]
        self._at = 0
        self._will = will
        self._notices: deque[Notice] = deque()
        self._client: paho.Client | None = None
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] = lambda: None
        self._answered = False

    @property
    def _remote(self) -> "_Remote":
        return self._remotes[self._at]

    def connect(self, wake: Callable[[], None]) -> None:
        """Opens the connection and says CONNECT; the broker's answer comes as a notice."""
        self.disconnect()
        self._notices.clear()
        self._wake = wake
        self._answered = False
        s = self._remote.settings
        client = self._new_client(self._remote)
        how: dict[str, Any] = {}
        if self._remote.five:
            how["clean_start"] = not s.session_s
            if s.session_s:
                how["properties"] = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                how["properties"].SessionExpiryInterval = s.session_s
        try:
            client.connect(s.host, s.port, s.keepalive_s, **how)
        except (OSError, ValueError) as e:
            self._try_next()
            self._notices.append(Disconnected(f"broker {s.host}:{s.port} cannot be reached: {reason_of(e)}"))
            return
        name = f"paho-mqtt-client-{s.client_id}"
        client.loop_start()
        self._client = client
        self._thread = next((t for t in threading.enumerate() if t.name == name), None)

    def notices(self) -> list[Notice]:
        """What the broker said. A network thread that died without a word counts as a lost connection."""
        if self._client is not None and self._thread is not None and not self._thread.is_alive() and not self._notices:
            self._notices.append(Disconnected("the connection's thread has ended"))
        found = []
        while self._notices:
            found.append(self._notices.popleft())
        if any(isinstance(n, Disconnected) for n in found):
            self._drop()
        return found

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, extras: Extras = NO_EXTRAS) -> int | None:
        """Hands a message to the connection that stands."""
        if self._client is None:
            return None
        properties = _properties(extras) if self._remote.five else None
        info = self._client.publish(topic, payload, qos, retain, properties)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, filters: Sequence[str]) -> None:
        """Asks for what is said to us; what was kept while we were away comes too."""
        if self._client is not None:
            # AWS IoT Core takes eight in one SUBSCRIBE.
            for i in range(0, len(filters), _FILTERS_AT_ONCE):
                self._client.subscribe([(f, 1) for f in filters[i : i + _FILTERS_AT_ONCE]])

    def confirm(self, message: Received) -> None:
        """PUBACK, once what came is safe."""
        if self._client is not None and message.qos:
            # It says nothing of a connection that has gone: what is not acknowledged comes again.
            self._client.ack(message.token, message.qos)

    def disconnect(self) -> None:
        """Says DISCONNECT, which takes the will back, and closes."""
        if self._client is not None:
            self._client.disconnect()
            self._drop()

    def _drop(self) -> None:
        client, self._client, thread = self._client, None, self._thread
        if client is None:
            return
        sock = client.socket()
        if thread is not None:
            thread.join(0.5)
            if thread.is_alive() and sock is not None:
                # A broker that does not read keeps paho's thread from ending; nothing is left to lose.
                with contextlib.suppress(OSError, AttributeError):
                    sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # a socket, by another name
        with contextlib.suppress(AttributeError):  # paho forgets its thread between looking and joining
            client.loop_stop()
        client.on_connect = client.on_disconnect = client.on_publish = client.on_message = None

    def _new_client(self, remote: "_Remote") -> paho.Client:
        s, five = remote.settings, remote.five
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=s.client_id,
            clean_session=None if five else not s.session_s,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            transport="tcp" if s.path is None else "websockets",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if s.path is not None:
            client.ws_set_options(s.path)
        client.connect_timeout = s.connect_timeout_s
        client.max_inflight_messages_set(0)  # the window is the uplink's
        if s.username is not None:
            client.username_pw_set(s.username, s.password)
        if remote.tls is not None:
            client.tls_set_context(remote.tls)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, _client: paho.Client, _userdata: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._answered = True
        remote = self._remote
        where = f"{remote.settings.host}:{remote.settings.port}"
        version = "5" if remote.five else "3.1.1"
        if code.is_failure:
            wrong_version = code.value == _WRONG_VERSION or "protocol version" in str(code)
            if remote.five and remote.settings.version == "auto" and wrong_version:
                remote.five = False
                self._say(Disconnected("the broker does not speak MQTT 5; trying 3.1.1"))
                return
            self._try_next()
            reason = f"broker {where} refused us: {code}{_advice(code)}"
            self._say(Disconnected(reason, refused=code.value not in _NOT_REFUSED))
            return
        remote.known = True
        limit = getattr(properties, "ReceiveMaximum", _WINDOW)
        self._say(
            Connected(
                window=min(_WINDOW, limit),
                max_packet=getattr(properties, "MaximumPacketSize", 1 << 28),
                retain=bool(getattr(properties, "RetainAvailable", 1)),
                how=f"broker={where} mqtt={version}",
            )
        )

    def _on_disconnect(
        self, client: paho.Client, _userdata: Any, flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if client is not self._client and self._client is not None:
            return
        remote = self._remote
        if self._answered:
            # The first broker is the one we want: after a loss it is asked first again.
            self._at = 0
        else:
            if remote.settings.version == "auto" and not remote.known:
                # Some brokers of 3.1.1 hang up on what they do not know, or say nothing at all.
                remote.five = not remote.five
            self._try_next()
        if code.value == _TAKEN_OVER:
            who = remote.settings.client_id
            reason = (
                f"another client has connected as {who!r}: give each agent a mqtt.node or mqtt.client_id of its own"
            )
            self._say(Disconnected(reason, taken_over=True))
            return
        by = "by the broker" if getattr(flags, "is_disconnect_packet_from_server", False) else "lost"
        self._say(Disconnected(f"connection {by}: {code}"))

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        verdict = Verdict.ACCEPTED
        if code.is_failure:
            verdict = Verdict.NEVER if code.value in _NEVER else Verdict.LATER
            if code.value == _DENIED:
                verdict = Verdict.DENIED
        self._say(Acknowledged(mid, verdict, str(code) if code.is_failure else ""))

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        asked = message.properties
        answer_to = getattr(asked, "ResponseTopic", None)
        correlation = getattr(asked, "CorrelationData", None)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._say(
            Received(topic, bytes(message.payload), message.qos, message.retain, message.mid, answer_to, correlation)
        )

    def _try_next(self) -> None:
        self._at = (self._at + 1) % len(self._remotes)

    def _say(self, notice: Notice) -> None:
        self._notices.append(notice)
        self._wake()


@dataclass(slots=True)
class _Remote:
    """A broker, whether it is spoken to in MQTT 5, and whether it is known that it can be."""

    settings: MqttSettings
    tls: ssl.SSLContext | None
    five: bool
    known: bool = False


def _properties(extras: Extras) -> Properties | None:
    if extras is NO_EXTRAS:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if extras.content_type is not None:
        properties.ContentType = extras.content_type
    if extras.correlation is not None:
        properties.CorrelationData = extras.correlation
    if extras.expires_s is not None:
        properties.MessageExpiryInterval = min(extras.expires_s, 0xFFFFFFFF)
    return properties


def _send_at_once(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    # Without it a small message may wait 40 ms for the acknowledgement of the one before (Nagle, RFC 896).
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _advice(code: ReasonCode) -> str:
    if code.value in {0x86, 0x87}:
        return "; check mqtt.username and mqtt.password_file"
    if code.value == 0x85:
        return "; check mqtt.client_id"
    return ""
