"""Whatever the interleaving of acceptance, acknowledgements, cuts, kills, full memory and clock jumps: nothing is lost.

The model is a broker that remembers what it was sent, and the set of events that were accepted: committed, or
acknowledged. Accepted and neither delivered nor told in a receipt is a failure, out of order in a stream is another.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from spooling import SMALL, Time, World, event, receipts

pytestmark = pytest.mark.timeout(600)

CAMERAS = ("gate", "yard")
MAX_BYTES = 30_000


class SpoolMachine(RuleBasedStateMachine):
    @initialize(
        window=st.sampled_from([1, 5, 20]), drain=st.sampled_from([20.0, 1e9]), in_order=st.sampled_from([0, 20])
    )
    def start(self, window, drain, in_order):
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.window = window
        bounds = replace(
            SMALL,
            max_bytes=MAX_BYTES,
            memory_bytes=60_000,
            drain_per_s=drain,
            in_order_rows=in_order,
            fresh_bytes=5_000,
            group_rows=30,
        )
        self.world = World(self.folder / "spool.db", bounds=bounds, time=Time())
        self.seq = 0
        self.put: dict[int, str] = {}
        self.accepted: set[int] = set()
        self.told: dict[int, int] = {}
        self.counted = 0
        self.sent: list[tuple[str, bool, int]] = []
        self.received: set[int] = set()
        self.flight = []
        self.refused: set[int] = set()
        self.connected = False

    # ---- what may happen

    @rule(count=st.integers(1, 15), camera=st.sampled_from(CAMERAS), size=st.sampled_from([0, 100, 800]))
    def events_are_put(self, count, camera, size):
        for _ in range(count):
            self.seq += 1
            self.put[self.seq] = camera
            self.world.spool.put(event(self.seq, camera, size=size))

    @rule(seconds=st.sampled_from([0.01, 0.2, 0.35, 2.0, 40.0]))
    def time_passes(self, seconds):
        self.world.time.pass_s(seconds)
        self.world.spool.tick()

    @rule(seconds=st.sampled_from([3600.0, -86_400.0, 1e6]), synced=st.booleans())
    def the_wall_clock_jumps(self, seconds, synced):
        self.world.time.wall += seconds
        self.world.time.synced = synced

    @precondition(lambda self: not self.connected)
    @rule()
    def the_broker_comes(self):
        self.world.spool.connected()
        self.connected = True

    @precondition(lambda self: self.connected)
    @rule(lost=st.booleans())
    def the_broker_goes(self, lost):
        self.world.spool.disconnected(lost=lost)
        self.flight = []
        self.connected = False

    @precondition(lambda self: self.connected)
    @rule(count=st.integers(1, 20), arrives=st.booleans())
    def messages_are_sent(self, count, arrives):
        self.world.spool.tick()
        for _ in range(min(count, self.window - len(self.flight))):
            self.world.time.pass_s(0.01)
            record = self.world.spool.take()
            if record is None:
                break
            self.flight.append(record)
            if arrives:
                # A connection keeps the order: what was sent before has come as well.
                for sent in self.flight:
                    self._arrived(sent)

    @precondition(lambda self: self.flight)
    @rule(count=st.integers(1, 20))
    def the_broker_acknowledges(self, count):
        for record in self.flight[:count]:
            self._arrived(record)
            self.world.spool.done(record)
            if record.seq is not None:
                self.accepted.add(record.seq)
        del self.flight[:count]

    @precondition(lambda self: self.flight)
    @rule(then=st.sampled_from(["later", "hold"]))
    def the_broker_does_not_take_one_now(self, then):
        record = self.flight.pop(0)
        self.refused.add(record.seq)
        getattr(self.world.spool, then)(record)

    @rule()
    def what_was_held_is_released(self):
        self.world.spool.release(self.world.spool.turns.held)

    @rule()
    def what_was_held_is_tried(self):
        self.world.spool.attempt(self.world.spool.turns.held)

    @rule()
    def the_process_is_killed(self):
        # The commits that happened so far are what was accepted; then memory is gone.
        self._note_committed()
        self.world.kill()
        self.world.time.mono += 1.0
        self.world.open()
        self.flight, self.connected = [], False

    @rule()
    def the_process_is_stopped(self):
        if self.connected:
            self.the_broker_goes(lost=False)
        self.world.spool.close()
        self._note_committed()
        self.world.open()

    # ---- what must hold

    @invariant()
    def the_bounds_hold(self):
        if hasattr(self, "world"):
            spool = self.world.spool
            assert spool.disk.size <= MAX_BYTES + 20 * 1000, "bytes on the disk: the window may be above the bound"
            assert len(self.flight) <= self.window
            self._note_committed()

    def teardown(self):
        if not hasattr(self, "world"):
            return
        spool = self.world.spool
        spool.tick()
        if self.connected:
            spool.disconnected(lost=False)
        spool.flush()
        spool.release(spool.turns.held)
        self._note_committed()
        for _ in range(2):
            spool.connected()
            for _ in range(3000):
                spool.tick()
                self.world.time.pass_s(0.06)
                record = spool.take()
                if record is None and spool.depth == 0:
                    break
                if record is not None:
                    self._arrived(record)
                    spool.done(record)
            spool.disconnected(lost=False)
        assert spool.depth == 0
        spool.close()
        missing = self.accepted - self.received
        untold = {s for s in missing if not any(low <= s <= high for low, high in self.ranges)}
        assert not untold, f"accepted, not delivered, in no receipt: {sorted(untold)}"
        assert len(missing) <= self.counted
        for camera in CAMERAS:
            for replayed in (True, False):
                # What the broker has sent back for later has lost its place, and no other has.
                stream = [s for c, r, s in self.sent if c == camera and r is replayed and s not in self.refused]
                firsts = list(dict.fromkeys(stream))
                assert firsts == sorted(firsts), f"{camera}, replayed={replayed}: out of order: {firsts}"
        shutil.rmtree(self.folder)

    # ----

    def _note_committed(self) -> None:
        store = self.world.spool.disk.store
        if store is not None:
            self.accepted |= {s for (s,) in store.query("SELECT seq FROM queue WHERE seq IS NOT NULL")}

    def _arrived(self, record) -> None:
        if record.seq is not None:
            if record.seq not in self.received:
                self.sent.append((self.put[record.seq], record.replayed, record.seq))
            self.received.add(record.seq)
        for told in receipts([record]):
            if record.row not in self.told:
                self.told[record.row] = told["n"]
                self.counted += told["n"]
                if told["first"] is not None:
                    self.ranges.append((told["first"], told["last"]))

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return self.__dict__.setdefault("_ranges", [])


SpoolMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSpool = SpoolMachine.TestCase
