"""Where an MQTT broker is, as whom to speak to it, and how the connection is secured."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError

__all__ = ["MqttSettings", "reason_of", "tls_context"]


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where to and as whom. `version` is auto, 5 or 3.1.1; `path` means MQTT over WebSockets.

    `session_s` is how long the broker keeps what was said to us while we are away; 0 for not at all.
    """

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
    path: str | None = None
    alpn: str | None = None
    session_s: int = 0

    def __repr__(self) -> str:
        return f"MqttSettings({self.client_id} at {self.host}:{self.port})"


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
        if settings.alpn is not None:
            context.set_alpn_protocols([settings.alpn])
    except OSError as e:
        files = ", ".join(str(f) for f in (settings.ca_file, settings.cert_file, settings.key_file) if f)
        raise ConfigError(f"TLS files {files}: {reason_of(e)}") from e
    return context


def reason_of(error: Exception) -> str:
    """An error in the words of the system, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
