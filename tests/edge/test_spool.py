"""The spool's promises one by one, with time in hand."""

from dataclasses import replace

import pytest
from spooling import FRAME, SMALL, A, B, C, Time, World, event, receipts, seqs

from edge.spool import Record


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "spool.db")
    yield world
    world.spool.close()


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


def test_dead_letter_when_refused_for_ever_then_kept_with_its_reason_and_told(world):
    world.put(1, 2)
    world.spool.connected()
    one, two = world.send()
    world.spool.bury(one, "payload format invalid")
    world.spool.done(two)
    world.commit()
    assert [(topic, reason) for _, topic, _, reason in world.spool.disk.store.ledger.dead()] == [
        ("edge/n/gate/event", "payload format invalid")
    ]
    world.spool.disconnected(lost=False)
    world.spool.connected()
    found = world.deliver()
    assert seqs(found) == []
    assert [(r["reason"], r["first"]) for r in receipts(found)] == [("dead-letter", 1)]


def test_dead_letter_when_refused_before_sending_then_the_rest_flows(world):
    world.put(1)
    world.spool.put(Record("edge/n/bad\0topic", b"{}", A, seq=2, refused="the topic holds NUL"))
    world.put(3)
    world.spool.connected()
    found = world.deliver()
    assert seqs(found) == [1, 3]
    assert world.spool.disk.store.ledger.dead()[0][3] == "the topic holds NUL"


def test_dead_letters_when_many_then_bounded(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, dead_rows=5, dead_bytes=10_000))
    for i in range(20):
        world.spool.put(event(i, size=1500, refused="no"))
    world.commit()
    dead = world.spool.disk.store.ledger.dead()
    assert 1 <= len(dead) <= 5
    assert sum(len(body) for _, _, body, _ in dead) <= 10_000
    world.spool.close()


def test_poison_when_it_breaks_every_connection_then_quarantined_and_the_rest_flows(world):
    world.put(1, 2, 3)
    world.put(*range(4, 60))
    poison, delivered, broken = 3, [], 0
    while broken < 60 and not world.spool.disk.store.ledger.dead():
        world.spool.connected()
        while True:
            world.spool.tick()
            taken = world.send(20)
            if not taken:
                break
            for record in taken:
                if record.seq == poison:
                    break
                world.spool.done(record)
                delivered.append(record.seq)
            else:
                continue
            world.spool.disconnected(lost=True)
            broken += 1
            break
        else:
            break
    assert [d[1] for d in world.spool.disk.store.ledger.dead()] == ["edge/n/gate/event"]
    assert broken <= 12
    world.spool.connected()
    delivered += seqs(world.deliver())
    assert sorted(set(delivered)) == [1, 2, *range(4, 60)]


def test_poison_when_only_the_network_is_bad_then_nothing_is_quarantined_and_order_holds(world):
    world.put(*range(1, 10))
    for _ in range(41):
        world.spool.connected()
        world.send(20)
        world.spool.disconnected(lost=True)
    assert world.spool.disk.store.ledger.dead() == []
    for _ in range(2):
        world.spool.connected()
        if world.spool.turns.suspects._first:
            break
        world.spool.disconnected(lost=True)
    assert seqs(world.deliver()) == list(range(1, 10))


def test_later_when_the_quota_is_exceeded_then_the_same_goes_first_again(world):
    world.put(1, 2, 3)
    world.spool.connected()
    one = world.send(1)[0]
    world.spool.later(one)
    assert seqs(world.deliver()) == [1, 2, 3]


def test_later_when_one_is_tried_alone_and_put_off_again_then_it_keeps_its_place(world):
    world.put(*range(1, 6))
    world.spool.connected()
    for record in world.send():
        world.spool.later(record)
    for _ in range(3):
        world.spool.later(world.send(1)[0])
    assert seqs(world.deliver()) == [1, 2, 3, 4, 5]


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


def test_hold_when_a_topic_is_denied_then_it_stays_and_the_others_flow(world):
    for seq, camera in ((1, "gate"), (2, "yard"), (3, "gate"), (4, "yard")):
        world.spool.put(event(seq, camera))
    world.spool.connected()
    first = world.send(1)[0]
    world.spool.hold(first)
    world.spool.put(event(5, "gate"))
    world.spool.put(event(6, "yard"))
    assert seqs(world.deliver()) == [6, 2, 4]
    world.commit()
    assert world.spool.depth == 3
    world.spool.release({first.topic})
    assert seqs(world.deliver()) == [1, 3, 5]


def test_attempt_when_a_topic_is_held_then_its_oldest_goes_alone_and_the_rest_once_that_is_taken(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, in_order_rows=100))
    world.put(1, 2, 3)
    world.spool.connected()
    denied = world.send()
    for record in denied:
        world.spool.hold(record)
    topic = denied[0].topic
    world.put(4)
    for refusals in range(3):
        world.spool.put(event(100 + refusals, "yard"))
        world.spool.tick()
        world.spool.attempt({topic})
        tried = world.send()
        assert seqs(tried) == [1, 100 + refusals], "one of the topic that was denied, and the others flow"
        world.spool.hold(tried[0])
        world.spool.done(tried[1])
    world.put(5)
    world.spool.attempt({topic})
    first = world.send()
    assert seqs(first) == [1]
    world.spool.done(first[0])
    world.spool.release({topic})
    world.put(6)
    assert seqs(world.deliver()) == [2, 3, 4, 5, 6]
    assert world.spool.depth == 0
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


def test_burst_when_more_comes_than_memory_may_hold_then_it_is_committed_and_nothing_is_given_up(tmp_path):
    world = World(tmp_path / "spool.db", bounds=replace(SMALL, memory_bytes=100_000))
    for seq in range(1, 301):
        world.spool.put(event(seq, size=1000))
        if seq % 50 == 0:
            world.spool.tick()
    world.spool.connected()
    assert seqs(world.deliver()) == list(range(1, 301))
    world.spool.close()
