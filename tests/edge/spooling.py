"""What the tests of the spool share: a clock in hand, a spool on it, and events with their numbers."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from edge.spool import AgeClock, Bounds, Drop, Record, Spool
from edge.spool.store import open_sqlite

A, B, C, FRAME = 3, 2, 1, 0
SMALL = Bounds(ballast_bytes=0, group_s=0.3, drain_per_s=1e9, in_order_rows=0)


@dataclass
class Time:
    mono: float = 1000.0
    wall: float = 1.7e9
    synced: bool = True

    def pass_s(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds

    def clock(self) -> AgeClock:
        return AgeClock(lambda: self.mono, lambda: self.wall, lambda: self.synced)


def event(seq: int, camera: str = "gate", *, rank: int = A, size: int = 0, **more) -> Record:
    body = json.dumps({"seq": seq, "camera": camera, "pad": "x" * size}).encode()
    return Record(f"edge/n/{camera}/event", body, rank, seq=seq, **more)


def receipt(drop: Drop) -> Record:
    body = json.dumps(
        {"class": drop.letter, "reason": drop.reason, "first": drop.first_seq, "last": drop.last_seq, "n": drop.count}
    )
    return Record("edge/n/gap", body.encode(), A)


@dataclass
class World:
    """A spool and the hand that drives it like the uplink would."""

    path: Path
    bounds: Bounds = SMALL
    time: Time = field(default_factory=Time)
    connect: object = open_sqlite
    spool: Spool = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> Spool:
        self.spool = Spool(
            self.path, bounds=self.bounds, clock=self.time.clock(), mono_s=lambda: self.time.mono,
            connect=self.connect, receipt=receipt,
        )  # fmt: skip
        return self.spool

    def put(self, *seqs: int, **more) -> None:
        for seq in seqs:
            self.spool.put(event(seq, **more))

    def commit(self) -> None:
        self.spool.tick()
        self.time.pass_s(self.spool.bounds.group_s)
        self.spool.tick()

    def send(self, limit: int = 20) -> list[Record]:
        taken = []
        while len(taken) < limit:
            self.time.pass_s(0.001)
            record = self.spool.take()
            if record is None:
                break
            taken.append(record)
        return taken

    def deliver(self, limit: int = 1_000_000) -> list[Record]:
        """Takes and acknowledges until nothing is left."""
        delivered = []
        while len(delivered) < limit:
            self.spool.tick()
            taken = self.send(min(20, limit - len(delivered)))
            if not taken:
                break
            for record in taken:
                self.spool.done(record)
            delivered += taken
        return delivered

    def kill(self) -> None:
        """As SIGKILL leaves it: what is only in memory is gone."""
        if self.spool.disk.store is not None:
            self.spool.disk.store._db.close()


def seqs(records) -> list[int]:
    return [r.seq for r in records if r.seq is not None]


def receipts(records) -> list[dict]:
    return [json.loads(r.body) for r in records if r.topic.endswith("/gap")]
