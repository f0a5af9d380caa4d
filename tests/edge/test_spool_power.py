"""Power cuts, over the spool's own code and SQLite's file operations: committed rows are there, and the file opens."""

import os
import random
import sqlite3
from dataclasses import replace

import pytest
from powerloss import ApswConnection, Faults, RecordingVFS, Tape
from spooling import SMALL, World, seqs

from edge.spool.store import Store

CUTS = int(os.environ.get("SPOOL_POWER_CUTS", "120"))


@pytest.fixture
def recorded(tmp_path):
    tape, faults = Tape(), Faults()
    name = f"recording-{id(tape)}"
    vfs = RecordingVFS(name, tape, faults)
    world = World(
        tmp_path / "spool.db",
        bounds=replace(SMALL, group_rows=20),
        connect=lambda path: ApswConnection(path, name),
    )
    world.tape, world.faults = tape, faults
    yield world
    world.spool.close()
    vfs.unregister()


def _live(world, chance: random.Random, steps: int) -> None:
    """Accepts, acknowledges, loses connections; after each step the tape is marked with what is committed and waits."""
    waiting: set[int] = set()
    seq = 0
    world.spool.connected()
    for _ in range(steps):
        action = chance.random()
        if action < 0.6:
            for _ in range(chance.randrange(1, 12)):
                seq += 1
                world.put(seq, size=chance.randrange(0, 1500))
        elif action < 0.8:
            for record in world.send(chance.randrange(1, 20)):
                world.spool.done(record)
                waiting.discard(record.seq)
        else:
            world.spool.disconnected(lost=True)
            world.spool.connected()
        world.commit()
        rows = {s for (s,) in world.spool.disk.store.query("SELECT seq FROM queue")}
        world.tape.marks.append((len(world.tape.ops), rows))


@pytest.mark.parametrize("pragma", ["FULL", "NORMAL", "OFF"])
def test_power_cut_when_anywhere_then_no_committed_row_is_lost(recorded, tmp_path, pragma, record_property):
    recorded.spool.disk.store._db.execute(f"PRAGMA synchronous = {pragma}")
    chance = random.Random(7)
    _live(recorded, chance, 40)
    lost = unreadable = checked = 0
    for cut in range(CUTS):
        index = chance.randrange(len(recorded.tape.marks))
        end, rows = recorded.tape.marks[index]
        following = (
            recorded.tape.marks[index + 1][0] if index + 1 < len(recorded.tape.marks) else len(recorded.tape.ops)
        )
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        # The power goes somewhere before the next commit returned; what that one deletes may be gone already.
        allowed = recorded.tape.marks[index + 1][1] if index + 1 < len(recorded.tape.marks) else rows
        end = chance.randrange(end, following + 1)
        for name, content in recorded.tape.files_after(end, chance).items():
            (folder / name).write_bytes(content)
        must = rows & allowed
        try:
            store = Store(folder / "spool.db")
            found = {s for (s,) in store.query("SELECT seq FROM queue")}
            assert store.query("PRAGMA integrity_check") == [("ok",)]
            store.close()
        except (OSError, sqlite3.DatabaseError, AssertionError):
            unreadable += 1
            continue
        lost += len(must - found)
        checked += len(must)
    record_property("result", {"cuts": CUTS, "checked": checked, "lost": lost, "unreadable": unreadable})
    if pragma == "FULL":
        assert checked > CUTS * 10
        assert (lost, unreadable) == (0, 0)
    else:
        assert lost + unreadable > 0, "the simulator must show what a missing sync does, or it proves nothing"


def test_file_after_a_cut_when_opened_by_the_spool_then_its_events_are_delivered_in_order(recorded, tmp_path):
    chance = random.Random(3)
    _live(recorded, chance, 15)
    end, rows = recorded.tape.marks[-1]
    folder = tmp_path / "after"
    folder.mkdir()
    for name, content in recorded.tape.files_after(end, chance).items():
        (folder / name).write_bytes(content)
    world = World(folder / "spool.db")
    world.spool.connected()
    found = seqs(world.deliver())
    assert rows <= set(found)
    assert found == sorted(found)
    world.spool.close()
