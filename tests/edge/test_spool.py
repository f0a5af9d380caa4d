"""The spool's promises one by one, with time in hand: nothing is lost, and order holds."""

from dataclasses import replace

import pytest
from spooling import FRAME, SMALL, B, World, event, seqs

from edge.spool import Record


def test_record_when_committed_and_killed_then_delivered_by_the_next_run(world):
    world.put(1, 2, 3)
    world.commit()
    world.kill()
    world.open().connected()
    assert seqs(world.deliver()) == [1, 2, 3]


def test_record_when_acknowledged_before_the_group_commit_then_never_written(world):
    world.spool.connected()
    world.put(1, 2, 3)
    assert seqs(world.deliver()) == [1, 2, 3]
    world.commit()
    assert world.spool.disk.last_row == 0
    assert world.spool.depth == 0


def test_record_when_not_acknowledged_then_written_when_the_window_ends(world):
    world.spool.connected()
    world.put(1)
    world.spool.tick()
    assert seqs(world.send()) == [1]
    assert world.spool.due_s() == pytest.approx(0.3, abs=0.01)
    world.time.pass_s(0.299)
    world.spool.tick()
    assert world.spool.disk.depth == 1


def test_order_when_connected_then_fresh_goes_first_and_backlog_follows_in_order(world):
    world.put(1, 2, 3)
    world.spool.connected()
    world.put(10, 11)
    world.spool.tick()
    taken = world.send()
    assert seqs(taken) == [10, 11, 1, 2, 3]
    assert [r.replayed for r in taken] == [False, False, True, True, True]


def test_unacknowledged_when_connection_is_lost_then_sent_again_in_order(world):
    world.spool.connected()
    world.put(*range(1, 8))
    world.spool.tick()
    first = world.send()
    for record in first[:3]:
        world.spool.done(record)
    world.spool.disconnected(lost=True)
    world.spool.connected()
    assert seqs(world.deliver()) == [4, 5, 6, 7]
    assert world.spool.depth == 0


def test_backlog_when_rate_limited_then_no_faster(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, drain_per_s=10))
    world.put(*range(1, 30))
    world.spool.connected()
    assert world.spool.take() is None
    assert world.spool.backlog_due_s() == pytest.approx(0.1)
    world.time.pass_s(0.1)
    assert world.spool.take().seq == 1
    assert world.spool.take() is None
    world.time.pass_s(100)
    assert world.spool.take().seq == 2
    assert world.spool.take() is None, "an hour of waiting buys no burst"
    world.spool.close()


def test_last_value_when_connected_again_then_told_again_and_never_written(world):
    def count(n: int) -> Record:
        return Record("edge/n/gate/count/person", str(n).encode(), B, retain=True, last_value=True, volatile=True)

    world.spool.put(count(1))
    world.spool.put(count(2))
    world.commit()
    for _ in range(2):
        world.spool.connected()
        assert [r.body for r in world.deliver()] == [b"2"]
        world.spool.disconnected(lost=True)
    assert world.spool.disk.last_row == 0


def test_frames_when_the_connection_is_lost_then_forgotten(world):
    world.spool.connected()
    world.spool.put(Record("edge/n/gate/frame", b"{}", FRAME, qos=0, volatile=True))
    world.spool.tick()
    world.spool.disconnected(lost=True)
    world.spool.connected()
    assert world.deliver() == []


def test_strict_mode_when_acknowledged_then_kept_and_sent_again_by_range(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, keep_acknowledged=True))
    world.spool.connected()
    world.put(*range(1, 11))
    assert seqs(world.deliver()) == list(range(1, 11))
    world.commit()
    assert world.spool.depth == 0
    world.kill()
    world.open().connected()
    assert world.deliver() == []
    assert world.spool.replay(4, 6) == 3
    again = world.deliver()
    assert seqs(again) == [4, 5, 6]
    assert all(r.replayed for r in again)
    world.spool.close()


def test_sequence_mark_when_the_file_is_opened_again_then_ahead_of_every_number_seen(world):
    world.spool.connected()
    for i in range(1, 5001):
        world.spool.put(event(i))
        if i % 100 == 0:
            world.deliver()
    world.commit()
    world.kill()
    assert world.open().disk.seq_mark > 5000


def test_close_when_something_waits_then_committed(world):
    world.put(1)
    world.spool.close()
    world.open().connected()
    assert seqs(world.deliver()) == [1]


def test_second_spool_when_one_is_open_then_it_works_in_memory_and_says_so(world):
    world.put(1)
    world.commit()
    other = World(world.path)
    assert "locked" in other.spool.disk.alarms["disk-error"]
    other.spool.close()


def test_order_when_the_backlog_is_short_then_it_goes_first_and_at_once(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, in_order_rows=10, drain_per_s=0.001))
    world.put(1, 2, 3)
    world.spool.connected()
    world.put(10, 11)
    world.spool.tick()
    assert seqs(world.send()) == [1, 2, 3, 10, 11]
    world.spool.close()


def test_depth_when_asked_in_the_middle_of_a_step_then_no_message_counts_twice_or_not_at_all(world):
    seen = []

    def looking_after(owner, name):
        does = getattr(owner, name)

        def look(*args):
            found = does(*args)
            seen.append(world.spool.depth)
            return found

        setattr(owner, name, look)

    looking_after(world.spool.disk, "commit")
    looking_after(world.spool.inbox, "drain")
    looking_after(world.spool.disk, "bury")
    world.spool.put(event(1, refused="the topic holds NUL"))
    world.put(*range(2, 21))
    world.commit()
    assert set(seen) <= {20, 19}, "one is a dead letter"
    assert world.spool.depth == 19


def test_state_with_history_when_it_waits_then_told_once_and_as_the_newest(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, in_order_rows=10))
    for body in (b"online", b"offline"):
        world.spool.put(Record("edge/n/gate/state", body, B, retain=True, last_value=True))
    world.spool.connected()
    assert [(r.body, r.newest) for r in world.deliver()] == [(b"online", False), (b"offline", True)]
    world.spool.disconnected(lost=True)
    world.spool.connected()
    assert [(r.body, r.newest) for r in world.deliver()] == [(b"offline", True)]
    world.spool.close()
