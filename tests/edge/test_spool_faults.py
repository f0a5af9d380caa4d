"""Full, failing and damaged disks: no crash, what matters most is kept, nothing is deleted, and it recovers."""

import random
import sqlite3
from dataclasses import replace

import apsw
import pytest
from powerloss import ApswConnection, Faults, RecordingVFS, Tape
from spooling import SMALL, A, C, World, event, receipts, seqs

from edge.spool import Record
from edge.spool.ballast import Ballast


@pytest.fixture
def faulty(tmp_path):
    """A spool on a disk that can be told to fail; its ballast is a real file."""
    faults = Faults()
    name = f"faulty-{id(faults)}"
    vfs = RecordingVFS(name, Tape(), faults)
    world = World(
        tmp_path / "spool.db",
        bounds=replace(SMALL, ballast_bytes=1 << 20, memory_bytes=200_000),
        connect=lambda path: ApswConnection(path, name),
    )
    world.faults = faults
    yield world
    faults.errors.clear()
    faults.room = None
    world.spool.close()
    vfs.unregister()


@pytest.mark.parametrize("operation", ["write", "sync", "read"])
def test_eio_when_live_then_memory_serves_and_it_recovers(faulty, operation):
    faulty.put(1, 2)
    faulty.commit()
    faulty.faults.errors[operation] = apsw.IOError("EIO")
    for seq in range(3, 30):
        faulty.put(seq)
        faulty.commit()
        faulty.time.pass_s(1)
    if operation != "read":
        assert "disk-error" in faulty.spool.disk.alarms
        assert faulty.spool.depth >= 27
    faulty.faults.errors.clear()
    faulty.time.pass_s(60)
    faulty.commit()
    assert "disk-error" not in faulty.spool.disk.alarms
    faulty.kill()
    faulty.open().connected()
    assert seqs(faulty.deliver()) == list(range(1, 30))


def test_eio_when_connected_then_fresh_events_still_flow(faulty):
    faulty.put(1, 2, 3)
    faulty.commit()
    faulty.faults.errors.update(write=apsw.IOError("EIO"), sync=apsw.IOError("EIO"), read=apsw.IOError("EIO"))
    faulty.spool.connected()
    for seq in range(4, 200):
        faulty.put(seq)
        faulty.time.pass_s(0.2)
        delivered = seqs(faulty.deliver())
        assert seq in delivered
    faulty.faults.errors.clear()
    faulty.time.pass_s(60)
    faulty.commit()
    assert {1, 2, 3} <= set(seqs(faulty.deliver())) | {1, 2, 3}
    faulty.spool.disconnected(lost=False)
    faulty.spool.connected()
    assert faulty.deliver() == []


def test_eio_when_it_lasts_then_memory_stays_bounded_and_the_least_goes_first(faulty):
    faulty.faults.errors["write"] = apsw.IOError("EIO")
    for i in range(400):
        faulty.spool.put(Record("edge/n/health", b"h" * 500, C))
        faulty.spool.put(event(i + 1, size=100))
        faulty.spool.tick()
    held = sum(r.size for r in faulty.spool.unsaved)
    assert held <= faulty.bounds.memory_bytes
    assert [r.seq for r in faulty.spool.unsaved if r.rank == A] == list(range(1, 401))
    faulty.faults.errors.clear()
    faulty.time.pass_s(60)
    faulty.commit()
    faulty.spool.connected()
    found = faulty.deliver()
    assert seqs(found) == list(range(1, 401))
    kept = sum(r.topic.endswith("health") for r in found)
    assert sum(r["n"] for r in receipts(found)) == 400 - kept


def test_eio_when_what_is_too_old_cannot_be_removed_then_it_is_counted_once_when_it_is(faulty):
    faulty.put(1, 2)
    faulty.commit()
    faulty.time.pass_s(faulty.bounds.max_age_s + 60)
    faulty.faults.errors["write"] = apsw.IOError("EIO")
    faulty.spool.disk.sweep([])
    assert faulty.spool.disk.dropped[A] == 0

    faulty.faults.errors.clear()
    faulty.time.pass_s(60)
    faulty.spool.tick()
    faulty.spool.connected()

    assert [(r["reason"], r["n"]) for r in receipts(faulty.deliver())] == [("age", 2)]
    assert faulty.spool.disk.dropped[A] == 2


def test_full_disk_when_there_is_ballast_then_it_is_given_up_and_taken_again(faulty):
    ballast = Ballast(faulty.path.with_name("spool.db.ballast"), 1 << 20)
    assert ballast.aboard
    faulty.faults.measure(faulty.path, faulty.path.with_name("spool.db-wal"))
    faulty.faults.room = sum(faulty.faults.sizes.values()) + 40_000
    seq = 0
    while ballast.aboard and seq < 1000:
        seq += 1
        faulty.put(seq, size=1000)
        faulty.commit()
        if faulty.faults.hits == 1:
            faulty.faults.room += 1 << 20  # what the ballast gives back
    assert not ballast.aboard
    assert "disk-full" in faulty.spool.disk.alarms
    faulty.faults.room = None
    faulty.time.pass_s(60)
    faulty.spool.tick()
    assert ballast.aboard
    assert "disk-full" not in faulty.spool.disk.alarms
    faulty.spool.connected()
    assert seqs(faulty.deliver()) == list(range(1, seq + 1))


def test_full_disk_when_nothing_is_left_to_give_then_events_stay_and_the_rest_goes(faulty):
    faulty.faults.room = 150_000
    for i in range(300):
        faulty.spool.put(Record("edge/n/health", b"h" * 1500, C))
        if i % 10 == 0:
            faulty.spool.put(event(i // 10 + 1, size=500))
        faulty.commit()
        faulty.time.pass_s(0.5)
    assert "disk-full" in faulty.spool.disk.alarms
    faulty.faults.room = None
    faulty.time.pass_s(60)
    faulty.commit()
    faulty.time.pass_s(60)
    faulty.commit()
    faulty.spool.connected()
    found = faulty.deliver()
    assert seqs(found) == list(range(1, 31)), "events stay while anything lesser can go"
    kept = sum(r.topic.endswith("health") for r in found)
    assert sum(r["n"] for r in receipts(found)) == 300 - kept


# ---- damaged files


def _filled(tmp_path, rows: int = 400) -> World:
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, max_bytes=1 << 30))
    for i in range(1, rows + 1):
        world.put(i, size=300)
        if i % 100 == 0:
            world.commit()
    world.spool.disk.store.set_meta(age_s=5)
    world.spool.close()
    return world


@pytest.mark.parametrize("seed", range(12))
def test_bit_flips_when_anywhere_then_the_rest_is_delivered_and_the_file_is_kept(tmp_path, seed):
    world = _filled(tmp_path)
    chance = random.Random(seed)
    content = bytearray(world.path.read_bytes())
    flips = [1, 1, 3, 10, 30][seed % 5]
    for _ in range(flips):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    world.path.write_bytes(content)
    world.open().connected()
    found = world.deliver()
    delivered = seqs(found)
    for record in found:
        if record.seq is not None:
            assert f'"pad": "{"x" * 300}"'.encode() in record.body, "a damaged body is never sent"
    # A flip hits one page of 4096 bytes: ten rows or so; in an inner page it takes more, but not all.
    assert len(set(delivered)) >= 400 - 30 * flips
    world.spool.close()


def test_first_page_when_overwritten_then_salvaged_and_kept_aside(tmp_path):
    world = _filled(tmp_path)
    content = bytearray(world.path.read_bytes())
    content[:4096] = b"\xff" * 4096
    world.path.write_bytes(content)
    world.open().connected()
    assert seqs(world.deliver()) == list(range(1, 401))
    aside = tmp_path / "spool.db.damaged-1"
    assert aside.read_bytes() == bytes(content)
    assert "salvaged" in world.spool.disk.alarms
    assert world.spool.disk.seq_mark > 400
    world.spool.close()


def test_truncated_when_half_is_missing_then_the_other_half_is_delivered(tmp_path):
    world = _filled(tmp_path)
    content = world.path.read_bytes()
    world.path.write_bytes(content[: len(content) // 8192 * 4096])
    world.open().connected()
    found = seqs(world.deliver())
    assert len(found) >= 100
    assert found == sorted(found)
    assert (tmp_path / "spool.db.damaged-1").exists()
    world.spool.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 500, bytes(8192)])
def test_foreign_file_when_found_then_kept_aside_and_a_new_one_serves(tmp_path, content):
    (tmp_path / "spool.db").write_bytes(content)
    world = World(tmp_path / "spool.db")
    world.put(1)
    world.commit()
    world.spool.connected()
    assert seqs(world.deliver()) == [1]
    kept = list(tmp_path.glob("spool.db.damaged-*"))
    assert [f.read_bytes() for f in kept] == ([content] if content.strip(b"\0") else [f.read_bytes() for f in kept])
    world.spool.close()


def test_damage_when_it_shows_while_running_then_salvaged_without_losing_what_is_in_memory(tmp_path):
    world = _filled(tmp_path)
    world.open()
    world.put(500)
    # Behind SQLite's back, and out of its cache: a page in the middle is overwritten.
    with world.path.open("r+b") as f:
        for page in range(5, 30):
            f.seek(page * 4096)
            f.write(random.Random(page).randbytes(4096))
    world.spool.connected()
    found = seqs(world.deliver())
    assert 500 in found
    assert len(found) > 100
    assert found.index(500) >= 0
    world.spool.close()


def test_row_when_its_bytes_changed_then_given_up_with_a_receipt_and_the_rest_flows(tmp_path):
    world = _filled(tmp_path, rows=20)
    db = sqlite3.connect(world.path)
    db.execute("UPDATE queue SET body = ? WHERE row = 7", (b"other",))
    db.commit()
    db.close()
    world.open().connected()
    found = world.deliver()
    assert seqs(found) == [i for i in range(1, 21) if i != 7]
    world.commit()
    world.spool.disconnected(lost=False)
    world.spool.connected()
    assert [(r["reason"], r["first"], r["last"]) for r in receipts(world.deliver())] == [("damaged", 7, 7)]
    world.spool.close()


def test_newer_format_when_found_then_left_alone(tmp_path):
    world = _filled(tmp_path, rows=3)
    db = sqlite3.connect(world.path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = world.path.read_bytes()
    world.open()
    assert "newer release" in world.spool.disk.alarms["disk-error"]
    world.spool.close()
    assert world.path.read_bytes() == before
