"""What the broker refuses, puts off or breaks over: dead letters, poison, held topics, and order through it all."""

from dataclasses import replace

from spooling import SMALL, A, World, event, receipts, seqs

from edge.spool import Record


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
