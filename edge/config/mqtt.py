"""`[mqtt]`: the broker, the names under which the node speaks, and what a broker's URL means."""

import os
import platform
import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.config.fields import Line, LocalPath, Name, Section

__all__ = ["Address", "MqttConfig", "broker_address", "node_from_host"]


class MqttConfig(Section):
    """`[mqtt]`: the broker, and the names under which this node speaks."""

    broker: Line = "mqtt://localhost:1883"
    fallbacks: Annotated[tuple[Line, ...], Field(max_length=8)] = ()
    alpn: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] | None = None
    node: Name = Field(default_factory=lambda: node_from_host(os.environ.get("AWS_IOT_THING_NAME") or platform.node()))
    root: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?$")] = "edge"
    client_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")] | None = None
    version: Literal["auto", "5", "3.1.1"] = "auto"
    username: Line | None = None
    password_file: LocalPath | None = None
    ca_file: LocalPath | None = None
    cert_file: LocalPath | None = None
    key_file: LocalPath | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=1200)] = 20
    connect_timeout_s: Annotated[float, Field(gt=0, le=4)] = 3.0
    reconnect_min_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    reconnect_max_s: Annotated[float, Field(gt=0, le=3600)] = 60.0

    @field_validator("broker")
    @classmethod
    def _is_a_broker(cls, broker: str) -> str:
        broker_address(broker)
        return broker

    @field_validator("fallbacks")
    @classmethod
    def _are_brokers(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        for broker in brokers:
            broker_address(broker)
        return brokers

    @model_validator(mode="after")
    def _fits_together(self) -> "MqttConfig":
        if self.password_file and not self.username:
            raise ValueError("password_file needs a username")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file, cert_file and key_file need a broker that starts with mqtts://")
        if self.reconnect_min_s > self.reconnect_max_s:
            raise ValueError("reconnect_min_s is more than reconnect_max_s")
        return self

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return any(broker_address(url).tls for url in (self.broker, *self.fallbacks))


class Address(NamedTuple):
    """Where a broker listens; `path` is that of its WebSocket, None for plain TCP."""

    host: str
    port: int
    tls: bool
    path: str | None = None


_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


def broker_address(url: str) -> Address:
    """Where `mqtt://host[:port]`, `mqtts://host[:port]`, `ws://host[:port][/path]` or `wss://...` is.

    Raises:
        ValueError: saying how a broker's URL looks.
    """
    shape = "a broker looks like mqtt://host:1883, mqtts://host:8883 or wss://host:443/mqtt"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(shape) from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong in the URL; use username and password_file")
    web = parts.scheme in {"ws", "wss"}
    if parts.scheme not in _PORTS or not host or (not web and parts.path not in {"", "/"}) or parts.query or port == 0:
        raise ValueError(shape)
    path = (parts.path if parts.path not in {"", "/"} else "/mqtt") if web else None
    return Address(host, port or _PORTS[parts.scheme], parts.scheme in {"mqtts", "wss"}, path)


def node_from_host(host: str) -> str:
    """A node's name made of a host's name: `Kerb-1.local` -> `kerb-1`."""
    return re.sub(r"[^a-z0-9_-]", "-", host.partition(".")[0].lower())[:64] or "node"
