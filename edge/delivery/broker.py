"""`[mqtt]` -> what the MQTT transport is told, with the secrets read from their files."""

from edge.config import Address, MqttConfig, broker_address
from edge.errors import ConfigError
from edge.secret import check_private, read_secret
from edge.transports.mqttsettings import MqttSettings

__all__ = ["mqtt_brokers", "mqtt_settings"]


def mqtt_settings(mqtt: MqttConfig, *, client_id: str) -> MqttSettings:
    """The broker that is wanted first, without a session.

    Raises:
        ConfigError: when a secret's file cannot be read, or everyone may read it.
    """
    return mqtt_brokers(mqtt, client_id=client_id)[0]


def mqtt_brokers(mqtt: MqttConfig, *, client_id: str, session_s: int = 0) -> list[MqttSettings]:
    """Where to connect to, and as whom, in the order of preference; `session_s` as in MqttSettings.

    Raises:
        ConfigError: when a secret's file cannot be read, or everyone may read it.
    """
    if mqtt.key_file is not None:
        try:
            check_private(mqtt.key_file)
        except OSError as e:
            raise ConfigError(f"{mqtt.key_file}: {e.strerror}") from e
    password = read_secret(mqtt.password_file) if mqtt.password_file else None
    return [
        MqttSettings(
            host=address.host,
            port=address.port,
            path=address.path,
            client_id=client_id,
            version=mqtt.version,
            keepalive_s=mqtt.keepalive_s,
            connect_timeout_s=mqtt.connect_timeout_s,
            username=mqtt.username,
            password=password,
            tls=address.tls,
            ca_file=mqtt.ca_file,
            cert_file=mqtt.cert_file,
            key_file=mqtt.key_file,
            alpn=mqtt.alpn or _alpn(address),
            session_s=session_s,
        )
        for address in map(broker_address, (mqtt.broker, *mqtt.fallbacks))
    ]


def _alpn(address: Address) -> str | None:
    """AWS IoT Core speaks MQTT on port 443 to those who ask for it by this name."""
    aws = address.host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return "x-amzn-mqtt-ca" if aws and address.port == 443 and address.path is None else None
