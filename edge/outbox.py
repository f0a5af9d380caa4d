"""What waits between the events and the transport. In memory for now: bounded, in order, and honest about losses."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from edge.message import Importance, Message

__all__ = ["Entry", "MemoryOutbox", "Outbox"]

_MAX_MOMENTS = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the outbox, its place in the order of arrival, and when that was (monotonic)."""

    order: int
    message: Message
    accepted_ns: int


class Outbox(Protocol):
    """Keeps what was accepted until the broker has acknowledged it. Any thread puts, the uplink's does the rest."""

    def put(self, message: Message) -> None:
        """Accepts a message; may give up a lesser one for it."""

    def take(self) -> Entry | None:
        """The oldest that is not under way; it stays the outbox's until `done`."""

    def done(self, entry: Entry) -> None:
        """Forgets a message: it was acknowledged, or will never be accepted."""

    def give_back(self, entries: Iterable[Entry]) -> None:
        """These are no longer under way, and wait again in their old places."""

    def connected(self) -> None:
        """Queues the last value of each topic again, and gives up what was worth something only in its moment."""

    @property
    def depth(self) -> int:
        """Messages that wait or are under way."""


class MemoryOutbox:
    """An outbox that lives and dies with the process."""

    def __init__(
        self,
        *,
        max_messages: int,
        max_bytes: int,
        wake: Callable[[], None] = lambda: None,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._mono_ns = mono_ns
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.wake = wake
        self._lock = threading.Lock()
        self._order = 0
        self._bytes = 0
        self._waiting: dict[Importance, OrderedDict[int, Entry]] = {i: OrderedDict() for i in Importance}
        self._under_way: dict[int, Entry] = {}
        self._last: dict[str, Message] = {}
        self.dropped: dict[str, int] = {i.name: 0 for i in Importance}

    def put(self, message: Message) -> None:
        """Accepts a message; when full, the oldest of the least important goes, be it this one."""
        with self._lock:
            if message.last_value:
                self._last[message.topic] = message
            self._append(message)
            if len(self._waiting[Importance.NOW_OR_NEVER]) > _MAX_MOMENTS:
                self._drop(Importance.NOW_OR_NEVER)
            self._shrink()
        self.wake()

    def take(self) -> Entry | None:
        """The oldest that is not under way."""
        with self._lock:
            queues = [q for q in self._waiting.values() if q]
            if not queues:
                return None
            queue = min(queues, key=lambda q: next(iter(q)))
            order, entry = queue.popitem(last=False)
            self._under_way[order] = entry
            return entry

    def done(self, entry: Entry) -> None:
        """Forgets a message."""
        with self._lock:
            if self._under_way.pop(entry.order, None) is not None:
                self._bytes -= entry.message.size

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Puts messages back into their old places, in whatever order they come."""
        with self._lock:
            touched = set()
            for entry in entries:
                if self._under_way.pop(entry.order, None) is not None:
                    self._waiting[entry.message.importance][entry.order] = entry
                    touched.add(entry.message.importance)
            for importance in touched:
                self._waiting[importance] = OrderedDict(sorted(self._waiting[importance].items()))
            self._shrink()

    def connected(self) -> None:
        """Queues last values again where none waits, and drops the frames of the past."""
        with self._lock:
            queued = {e.message.topic for q in self._waiting.values() for e in q.values()}
            for topic, message in self._last.items():
                if topic not in queued:
                    self._append(message)
            while self._waiting[Importance.NOW_OR_NEVER]:
                self._drop(Importance.NOW_OR_NEVER)

    @property
    def depth(self) -> int:
        """Messages that wait or are under way."""
        with self._lock:
            return len(self._under_way) + sum(map(len, self._waiting.values()))

    @property
    def size(self) -> int:
        """Bytes of them."""
        return self._bytes

    def _append(self, message: Message) -> None:
        queue = self._waiting[message.importance]
        if message.last_value:
            for order, other in queue.items():
                if other.message.topic == message.topic and other.message.last_value:
                    self._bytes -= queue.pop(order).message.size
                    break
        self._order += 1
        queue[self._order] = Entry(self._order, message, self._mono_ns())
        self._bytes += message.size

    def _shrink(self) -> None:
        count = len(self._under_way) + sum(map(len, self._waiting.values()))
        while count > self._max_messages or self._bytes > self._max_bytes:
            least = next((i for i in Importance if self._waiting[i]), None)
            if least is None:
                return
            self._drop(least)
            count -= 1

    def _drop(self, importance: Importance) -> None:
        _, entry = self._waiting[importance].popitem(last=False)
        self._bytes -= entry.message.size
        self.dropped[importance.name] += 1
