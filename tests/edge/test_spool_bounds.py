"""What the spool gives up and how it tells: by size, by age, by lifetime, and what it never gives up."""

from dataclasses import replace
from itertools import pairwise

import pytest
from spooling import SMALL, B, C, Time, World, event, receipts, seqs

from edge.spool import Record


def test_full_when_lower_classes_are_there_then_their_oldest_goes_first_with_a_receipt(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, max_bytes=40_000))
    for i in range(10):
        world.spool.put(event(i + 1, size=2000))
    for i in range(5):
        world.spool.put(Record(f"edge/n/health/{i}", b"h" * 2000, C))
    for i in range(5):
        world.spool.put(Record(f"edge/n/state/{i}", b"s" * 2000, B))
    world.commit()
    world.spool.connected()
    found = world.deliver()
    assert seqs(found) == list(range(1, 11)), "events stay while anything lesser can go"
    assert [r.topic[-1] for r in found if r.rank == C] == ["2", "3", "4"][-len([r for r in found if r.rank == C]) :]
    assert sum(r["n"] for r in receipts(found)) == 20 - len([r for r in found if not r.topic.endswith("gap")])
    assert {r["class"] for r in receipts(found)} == {"C"}
    world.spool.close()


def test_full_when_all_are_events_then_the_oldest_goes_and_the_receipt_names_the_range(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, max_bytes=20_000))
    for i in range(1, 31):
        world.spool.put(event(i, size=1000))
        world.commit()
    world.kill()
    world.open().connected()
    found = world.deliver()
    kept, told = seqs(found), receipts(found)
    assert kept == list(range(kept[0], 31)), "the newest stay"
    assert [(r["class"], r["reason"], r["first"], r["last"], r["n"]) for r in told] == [
        ("A", "full", 1, kept[0] - 1, kept[0] - 1)
    ]
    world.commit()
    world.spool.disconnected(lost=False)
    world.spool.connected()
    assert not world.deliver(), "a receipt is told once"
    world.spool.close()


def test_full_when_a_receipt_waits_then_it_stays_and_the_next_follows_once_it_is_told(tmp_path):
    # It is the oldest row of the highest class, and what it tells is nowhere else.
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, max_bytes=20_000, max_age_s=3600))
    for i in range(1, 31):
        world.put(i, size=1000)
    world.commit()
    world.spool.connected()
    world.spool.disconnected(lost=False)
    world.kill()
    world.open()
    for i in range(31, 61):
        world.put(i, size=1000)
    world.commit()
    world.spool.connected()
    world.time.pass_s(7200)
    world.spool.tick()
    first = world.deliver()
    world.commit()
    world.time.pass_s(2)
    found = first + world.deliver()
    world.spool.close()

    told = receipts(found)
    assert len(receipts(first)) == 1, "one at a time: they cannot fill the disk"
    assert told[0]["reason"] == "full"
    assert told[0]["first"] == 1
    lost = [(r["first"], r["last"]) for r in told]
    assert all(before[1] < after[0] for before, after in pairwise(sorted(lost)))
    kept = seqs(found)
    assert sorted([*kept, *(i for low, high in lost for i in range(low, high + 1))]) == list(range(1, 61))


def test_age_when_over_the_bound_then_given_up_with_a_receipt(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, max_age_s=3600))
    world.put(1, 2)
    world.commit()
    world.time.pass_s(3500)
    world.put(3)
    world.commit()
    world.time.pass_s(200)
    world.spool.tick()
    world.spool.connected()
    found = world.deliver()
    assert seqs(found) == [3]
    assert [(r["reason"], r["first"], r["last"]) for r in receipts(found)] == [("age", 1, 2)]
    world.spool.close()


@pytest.mark.parametrize("jump_s", [3600.0, -86_400.0, 1e9])
def test_age_when_the_wall_clock_jumps_then_nothing_expires(world, jump_s):
    world.put(1, lifetime_s=600)
    world.commit()
    world.time.wall += jump_s
    world.time.pass_s(60)
    world.spool.tick()
    world.spool.connected()
    assert seqs(world.deliver()) == [1]


def test_age_when_switched_off_then_counts_only_by_a_clock_that_can_be_believed(tmp_path):
    for synced, left in ((True, []), (False, [1])):
        world = World(tmp_path / f"{synced}.db", time=Time(synced=synced))
        world.time.pass_s(20)
        world.put(1, lifetime_s=600)
        world.commit()
        world.kill()
        world.time.pass_s(3600)
        world.time.mono = 5.0  # the machine was switched off: its monotonic clock started again
        world.open().connected()
        assert seqs(world.deliver()) == left
        world.spool.close()


def test_lifetime_when_over_then_told_and_not_sent(world):
    world.put(1, lifetime_s=5)
    world.put(2)
    world.commit()
    world.time.pass_s(10)
    world.spool.connected()
    found = world.deliver()
    assert seqs(found) == [2]
    world.commit()
    world.spool.disconnected(lost=False)
    world.spool.connected()
    assert [(r["reason"], r["first"]) for r in receipts(world.deliver())] == [("expired", 1)]


def test_overload_when_fresh_outruns_the_broker_then_memory_stays_bounded_and_order_holds(world):
    world.spool.connected()
    world.spool.tick()
    for i in range(1, 2001):
        world.spool.put(event(i, size=2000))
        world.spool.tick()
    assert sum(r.size for r in world.spool.turns._fresh) <= world.spool.bounds.fresh_bytes
    assert len(world.spool.unsaved) <= world.spool.bounds.group_rows
    found = world.deliver()
    assert sorted(seqs(found)) == list(range(1, 2001))
    for replayed in (True, False):
        stream = [r.seq for r in found if r.replayed is replayed and r.seq]
        assert stream == sorted(stream)


def test_inbox_when_the_disk_hangs_then_bounded_and_counted(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, memory_bytes=100_000))
    for i in range(1, 201):
        world.spool.put(event(i, size=1000))
    assert world.spool.depth < 100
    world.commit()
    world.spool.connected()
    found = world.deliver()
    assert sum(r["n"] for r in receipts(found)) + len(seqs(found)) == 200
    assert {r["reason"] for r in receipts(found)} == {"overrun"}
    world.spool.close()


def test_burst_when_more_comes_than_memory_may_hold_then_it_is_committed_and_nothing_is_given_up(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, memory_bytes=100_000))
    for seq in range(1, 301):
        world.spool.put(event(seq, size=1000))
        if seq % 50 == 0:
            world.spool.tick()
    world.spool.connected()
    assert seqs(world.deliver()) == list(range(1, 301))
    world.spool.close()
