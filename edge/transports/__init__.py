"""Ways out of the node, behind one protocol."""

from edge.transports.disabled import DisabledTransport
from edge.transports.mqtt import MqttSettings, MqttTransport
from edge.transports.stdout import StdoutTransport
from edge.transports.transport import Acknowledged, Connected, Disconnected, Notice, Received, Transport, Verdict, Will

__all__ = [
    "Acknowledged",
    "Connected",
    "DisabledTransport",
    "Disconnected",
    "MqttSettings",
    "MqttTransport",
    "Notice",
    "Received",
    "StdoutTransport",
    "Transport",
    "Verdict",
    "Will",
]
