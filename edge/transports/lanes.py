"""What is under way to a nucleus that refuses for the moment: in lanes, so that nothing overtakes what was refused.

A *lane* holds the messages of one camera. Only its first message is under way; when that is refused it stays the first
and is tried again, so a later one of the same camera never arrives before it. Lanes do not wait for one another.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Lanes", "Parcel"]


@dataclass(slots=True, eq=False)
class Parcel:
    """A message with the token that its sender knows it by. `tries` counts refusals."""

    token: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    tries: int = 0
    passed_by: int = 0  # how many others had been accepted when it was first refused

    @property
    def size(self) -> int:
        """What it takes of a window that is counted in bytes."""
        return len(self.topic.encode()) + len(self.payload)


class Lanes:
    """At most `records` messages of `window_bytes` under way in all, and one a lane. One thread calls it.

    `levels` is how many levels of a topic name a lane.
    """

    def __init__(self, *, levels: int, records: int, window_bytes: int) -> None:
        self._levels = levels
        self.records, self.window_bytes = records, window_bytes
        self._lanes: OrderedDict[str, deque[Parcel]] = OrderedDict()
        self._under_way: dict[int, Parcel] = {}

    def put(self, parcel: Parcel) -> None:
        """Behind all others of its lane."""
        self._lanes.setdefault(self._lane(parcel), deque()).append(parcel)

    def take(self) -> Parcel | None:
        """The next that may be sent now; it is under way until `settle` or `again`."""
        if len(self._under_way) >= self.records:
            return None
        room = self.window_bytes - sum(p.size for p in self._under_way.values())
        for name, lane in self._lanes.items():
            first = lane[0]
            if first.token not in self._under_way and (first.size <= room or not self._under_way):
                self._under_way[first.token] = first
                self._lanes.move_to_end(name)
                return first
        return None

    def settle(self, token: int) -> Parcel | None:
        """It has its answer and leaves; None when it is not under way."""
        parcel = self._under_way.pop(token, None)
        if parcel is not None:
            lane = self._lanes[self._lane(parcel)]
            lane.popleft()
            if not lane:
                del self._lanes[self._lane(parcel)]
        return parcel

    def give_up(self, parcel: Parcel) -> None:
        """Takes one that is the first of its lane, and not under way, out of it."""
        self._under_way[parcel.token] = parcel
        self.settle(parcel.token)

    def again(self, token: int) -> Parcel | None:
        """It was refused for now and is the first of its lane again; None when it is not under way."""
        return self._under_way.pop(token, None)

    def clear(self) -> None:
        """Forgets everything."""
        self._lanes.clear()
        self._under_way.clear()

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __iter__(self) -> Iterator[Parcel]:
        return (parcel for lane in self._lanes.values() for parcel in lane)

    def _lane(self, parcel: Parcel) -> str:
        return "/".join(parcel.topic.split("/", self._levels)[: self._levels])
