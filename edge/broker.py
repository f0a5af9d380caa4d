"""`[mqtt]` -> what the MQTT transport is told, with the secrets read from their files."""

from edge.config import MqttConfig, broker_address
from edge.errors import ConfigError
from edge.secret import check_private, read_secret
from edge.transports.mqtt import MqttSettings

__all__ = ["mqtt_settings"]


def mqtt_settings(mqtt: MqttConfig, *, client_id: str) -> MqttSettings:
    """Where to connect to, and as whom.

    Raises:
        ConfigError: when a secret's file cannot be read, or everyone may read it.
    """
    host, port, tls = broker_address(mqtt.broker)
    if mqtt.key_file is not None:
        try:
            check_private(mqtt.key_file)
        except OSError as e:
            raise ConfigError(f"{mqtt.key_file}: {e.strerror}") from e
    return MqttSettings(
        host=host,
        port=port,
        client_id=client_id,
        version=mqtt.version,
        keepalive_s=mqtt.keepalive_s,
        connect_timeout_s=mqtt.connect_timeout_s,
        username=mqtt.username,
        password=read_secret(mqtt.password_file) if mqtt.password_file else None,
        tls=tls,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
    )
