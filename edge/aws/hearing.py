"""Several who listen, as one: the node's own topics go to the desk, those that AWS reserves to its services."""

from edge.aws.services import AwsServices
from edge.delivery.ear import Hearing
from edge.transports.transport import Received

__all__ = ["Hearings"]

_RESERVED = "$aws/"


class Hearings:
    """What an uplink calls; see `edge.delivery.ear.Hearing`."""

    def __init__(self, own: Hearing, services: AwsServices) -> None:
        self._own = own
        self._services = services
        self.filters: tuple[str, ...] = (*own.filters, *services.filters)

    def connected(self) -> None:
        """A connection stands."""
        self._own.connected()
        self._services.connected()

    def heard(self, message: Received) -> None:
        """A message came."""
        if message.topic.startswith(_RESERVED):
            self._services.heard(message.topic, message.payload)
        else:
            self._own.heard(message)

    def step(self, *, last: bool = False) -> None:
        """Something may be ready."""
        self._own.step(last=last)
        if not last:
            self._services.step()
