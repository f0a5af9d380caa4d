"""MQTT 5, or 3.1.1 where the broker knows no better, by paho-mqtt; which is the transport and keeps nothing.

Each connection is a client of its own: paho hands its whole queue to a new connection at once, and its own backoff
has no jitter. Its callbacks only append to a deque; everything else happens on the uplink's thread.
"""

import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import ConfigError
from edge.transports.transport import Acknowledged, Connected, Disconnected, Notice, Verdict, Will

__all__ = ["MqttSettings", "MqttTransport"]

_WINDOW = 20
# Of MQTT 5's reason codes: what the message itself is to blame for.
_NEVER = frozenset({0x90, 0x95, 0x99})  # topic name invalid, packet too large, payload format invalid
_NOT_REFUSED = frozenset({0x80, 0x83, 0x88, 0x89, 0x97, 0x9F})  # trouble of the broker's that passes by itself
_WRONG_VERSION = 0x84


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where to and as whom. `version` is auto, 5 or 3.1.1."""

    host: str
    port: int
    client_id: str
    version: str = "auto"
    keepalive_s: int = 20
    connect_timeout_s: float = 3.0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __repr__(self) -> str:
        return f"MqttSettings({self.client_id} at {self.host}:{self.port})"


class MqttTransport:
    """A connection to a broker, made anew by each `connect`.

    Raises:
        ConfigError: when the TLS files cannot be used.
    """

    def __init__(self, settings: MqttSettings, will: Will | None = None) -> None:
        self._settings = settings
        self._will = will
        self._tls = tls_context(settings) if settings.tls else None
        self._notices: deque[Notice] = deque()
        self._client: paho.Client | None = None
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], None] = lambda: None
        self._five = settings.version != "3.1.1"
        self._answered = False
        self._known = False

    def connect(self, wake: Callable[[], None]) -> None:
        """Opens the connection and says CONNECT; the broker's answer comes as a notice."""
        self.disconnect()
        self._notices.clear()
        self._wake = wake
        self._answered = False
        s = self._settings
        client = self._new_client()
        try:
            client.connect(s.host, s.port, s.keepalive_s)
        except (OSError, ValueError) as e:
            self._notices.append(Disconnected(f"broker {s.host}:{s.port} cannot be reached: {_reason(e)}"))
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

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hands a message to the connection that stands."""
        if self._client is None:
            return None
        try:
            info = self._client.publish(topic, payload, qos, retain)
        except ValueError:
            return None
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

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
        client.on_connect = client.on_disconnect = client.on_publish = None

    def _new_client(self) -> paho.Client:
        s = self._settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=s.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = s.connect_timeout_s
        client.max_inflight_messages_set(0)  # the window is the uplink's
        if s.username is not None:
            client.username_pw_set(s.username, s.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self._will is not None:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _on_connect(
        self, _client: paho.Client, _userdata: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._answered = True
        version = "5" if self._five else "3.1.1"
        if code.is_failure:
            wrong_version = code.value == _WRONG_VERSION or "protocol version" in str(code)
            if self._five and self._settings.version == "auto" and wrong_version:
                self._five = False
                self._say(Disconnected("the broker does not speak MQTT 5; trying 3.1.1"))
                return
            where = f"{self._settings.host}:{self._settings.port}"
            reason = f"broker {where} refused us: {code}{_advice(code)}"
            self._say(Disconnected(reason, refused=code.value not in _NOT_REFUSED))
            return
        self._known = True
        limit = getattr(properties, "ReceiveMaximum", _WINDOW)
        self._say(
            Connected(
                window=min(_WINDOW, limit),
                max_packet=getattr(properties, "MaximumPacketSize", 1 << 28),
                retain=bool(getattr(properties, "RetainAvailable", 1)),
                how=f"broker={self._settings.host}:{self._settings.port} mqtt={version}",
            )
        )

    def _on_disconnect(
        self, client: paho.Client, _userdata: Any, flags: Any, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if client is not self._client and self._client is not None:
            return
        if self._settings.version == "auto" and not (self._answered or self._known):
            # Some brokers of 3.1.1 hang up on what they do not know, or say nothing at all.
            self._five = not self._five
        by = "by the broker" if getattr(flags, "is_disconnect_packet_from_server", False) else "lost"
        self._say(Disconnected(f"connection {by}: {code}"))

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        verdict = Verdict.ACCEPTED
        if code.is_failure:
            verdict = Verdict.NEVER if code.value in _NEVER else Verdict.LATER
        self._say(Acknowledged(mid, verdict, str(code) if code.is_failure else ""))

    def _say(self, notice: Notice) -> None:
        self._notices.append(notice)
        self._wake()


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """TLS 1.2 or later, the broker's certificate and name always checked.

    Raises:
        ConfigError: when a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert_file is not None and settings.key_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as e:
        files = ", ".join(str(f) for f in (settings.ca_file, settings.cert_file, settings.key_file) if f)
        raise ConfigError(f"TLS files {files}: {_reason(e)}") from e
    return context


def _send_at_once(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    # Without it a small message may wait 40 ms for the acknowledgement of the one before (Nagle, RFC 896).
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _advice(code: ReasonCode) -> str:
    if code.value in {0x86, 0x87}:
        return "; check mqtt.username and mqtt.password_file"
    if code.value == 0x85:
        return "; check mqtt.client_id"
    return ""
