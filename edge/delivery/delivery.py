"""What carries a node's messages to its broker: the counter, the spool, the uplink; built, started and stopped as one."""

import logging
import time
from typing import Any

from edge.clock import Clock, iso_utc
from edge.config import Config, SpoolConfig
from edge.delivery.broker import mqtt_brokers
from edge.delivery.ear import Hearing
from edge.delivery.outbox import SpoolOutbox
from edge.delivery.uplink import Uplink
from edge.errors import ConfigError
from edge.message import Importance, encode
from edge.sequence import Sequence
from edge.spool import AgeClock, Bounds, Drop, Record, Spool
from edge.transports import DisabledTransport, MqttTransport, StdoutTransport, Transport, Will
from edge.transports.greengrass import GreengrassTransport
from edge.transports.nucleus import Nucleus

__all__ = ["Delivery"]

log = logging.getLogger(__name__)

_SESSION_S = 86_400
_LEAST_ACK_TIMEOUT_S = 5.0


class Delivery:
    """The way out. Events and reports put into `outbox`; everything else happens on the uplink's thread.

    Raises:
        ConfigError: when the state folder or a secret cannot be used, or another agent of this node is running.
    """

    def __init__(
        self,
        config: Config,
        *,
        boot_id: str,
        clock: Clock,
        hearing: Hearing | None = None,
        nucleus: Nucleus | None = None,
    ) -> None:
        mqtt = config.mqtt
        self._node = mqtt.node
        self._topic = f"{mqtt.root}/{mqtt.node}"
        self._boot_id = boot_id
        self._clock = clock
        transport = _transport(config, nucleus, hears=hearing is not None)
        folder = config.state_folder
        self.sequence = Sequence(folder, mqtt.node)
        try:
            self.spool = Spool(
                folder / f"{mqtt.node}.spool",
                bounds=_bounds(config.spool),
                clock=AgeClock(time.monotonic, time.time, lambda: clock.state().synced),
                mono_s=time.monotonic,
                receipt=self._receipt,
            )
            self.sequence.go_on_from(self.spool.disk.seq_mark)
        except BaseException:
            self.sequence.close()
            raise
        self.outbox = SpoolOutbox(self.spool)
        self.uplink = Uplink(
            transport,
            self.spool,
            status_topic=f"{self._topic}/status",
            clock=clock,
            hearing=hearing,
            min_wait_s=mqtt.reconnect_min_s,
            max_wait_s=mqtt.reconnect_max_s,
            ack_timeout_s=max(_LEAST_ACK_TIMEOUT_S, float(mqtt.keepalive_s)),
        )
        self.spool.inbox.wake = self.uplink.wake

    def figures(self) -> dict[str, Any]:
        """What `health` tells of the queue."""
        uplink, disk = self.uplink, self.spool.disk
        return {
            "connected": uplink.connected,
            "connects": uplink.connects,
            "sent": uplink.sent,
            "refused": uplink.refused,
            "dead": uplink.dead,
            "depth": self.spool.depth,
            "bytes": disk.size,
            "dropped": {importance.name: disk.dropped[importance] for importance in Importance},
            "alarms": sorted({*uplink.alarms, *disk.alarms}),
        }

    def start(self) -> None:
        """Starts the uplink's thread."""
        self.uplink.start()

    def last_connection(self) -> None:
        """The end is near: the connection that there is, or none, is the last one."""
        self.uplink.last_connection()

    def stop(self, drain_s: float, *, within_s: float | None = None) -> bool:
        """Sends what it can, keeps the rest on the disk; whether the thread has ended."""
        return self.uplink.stop(drain_s, within_s=within_s)

    def close(self) -> None:
        """Lets go of the files."""
        self.spool.close()
        self.sequence.close()

    def _receipt(self, drop: Drop) -> Record:
        """`gap`: what was given up."""
        payload = {
            "schema": "gap/1.0",
            "boot_id": self._boot_id,
            "node": self._node,
            "class": drop.letter,
            "reason": drop.reason,
            "count": drop.count,
            "first_seq": drop.first_seq,
            "last_seq": drop.last_seq,
            "at": iso_utc(self._clock.wall_ns()),
        }
        return Record(f"{self._topic}/gap", encode(payload), int(Importance.A), qos=1, stamped=True)


def _bounds(config: SpoolConfig) -> Bounds:
    return Bounds(
        max_bytes=config.max_bytes,
        max_age_s=int(config.max_age_s),
        group_s=config.group_s,
        ballast_bytes=config.ballast_bytes,
        drain_per_s=config.drain_per_s,
        keep_acknowledged=config.keep_acknowledged,
    )


def _transport(config: Config, nucleus: Nucleus | None, *, hears: bool) -> Transport:
    if config.transport == "disabled":
        return DisabledTransport()
    if config.transport == "stdout":
        return StdoutTransport()
    mqtt = config.mqtt
    if config.transport == "greengrass":
        if nucleus is None:
            raise ConfigError('transport "greengrass": this process is not run as a Greengrass component')
        kind = config.greengrass.nucleus
        return GreengrassTransport(
            nucleus,
            destination=config.greengrass.destination,
            hello=f"{mqtt.root}/{mqtt.node}/status",
            levels=f"{mqtt.root}/{mqtt.node}/camera".count("/") + 1,
            kind=None if kind == "auto" else kind,
        )
    client_id = mqtt.client_id or f"gluon-edge-{mqtt.node}"
    brokers = mqtt_brokers(mqtt, client_id=client_id, session_s=_SESSION_S if hears else 0)
    return MqttTransport(*brokers, will=Will(f"{mqtt.root}/{mqtt.node}/status", b"offline"))
