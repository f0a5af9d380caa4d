"""What a node could not send, in the hands of a person."""

import json

import pytest
from spooling import A, World, event, seqs

from edge.cli import main
from edge.spool import Record


@pytest.fixture
def path(tmp_path):
    """A stopped node's spool: one message waits, and three are dead letters."""
    world = World(tmp_path / "n1.spool")
    world.spool.connected()
    world.put(1, 2, 3)
    world.spool.tick()
    for record in world.send(2):
        world.spool.bury(record, "larger than the broker takes")
    world.spool.put(Record("edge/n/bad\0topic", b"{}", A, seq=4, refused="the topic holds NUL"))
    world.spool.close()
    return world.path


def gluon_edge(capsys, *args):
    status = main(["dead", *map(str, args)])
    said = capsys.readouterr()
    return status, said.out, said.err


def waiting(path):
    world = World(path)
    world.spool.connected()
    found = world.deliver()
    world.spool.close()
    return [r for r in found if not r.topic.endswith("/gap")]


def test_list_when_there_are_dead_letters_then_each_is_told_with_its_reason(path, capsys):
    status, out, _ = gluon_edge(capsys, "list", path, "--json")
    assert status == 0
    found = json.loads(out)["dead"]
    assert [(d["number"], d["seq"], d["reason"]) for d in found] == [
        (1, 1, "larger than the broker takes"),
        (2, 2, "larger than the broker takes"),
        (3, 4, "the topic holds NUL"),
    ]
    assert all(d["class"] == "A" and d["bytes"] and "body" not in d for d in found)
    _, out, _ = gluon_edge(capsys, "list", path)
    assert "\0" not in out
    assert out.count("larger than the broker takes") == 2


def test_show_when_a_number_is_named_then_what_it_says(path, capsys):
    status, out, _ = gluon_edge(capsys, "show", path, 2, "--json")
    assert status == 0
    assert json.loads(json.loads(out)["dead"][0]["body"]) == json.loads(event(2).body)
    assert gluon_edge(capsys, "show", path, 2)[1].count('"seq": 2') == 1


def test_retry_when_named_then_it_is_delivered_behind_what_waits_and_is_a_dead_letter_no_more(path, capsys):
    status, out, _ = gluon_edge(capsys, "retry", path, 2)
    assert (status, out) == (0, "1 queued again; they go when the agent runs\n")
    assert [d["number"] for d in json.loads(gluon_edge(capsys, "list", path, "--json")[1])["dead"]] == [1, 3]
    found = waiting(path)
    assert seqs(found) == [3, 2]
    assert found[1].body == event(2).body
    assert (found[1].qos, found[1].retain, found[1].stamped) == (1, False, True)


def test_retry_when_no_broker_could_ever_take_one_then_it_says_so_and_nothing_has_happened(path, capsys):
    status, _, err = gluon_edge(capsys, "retry", path, "--all")
    assert status == 1
    assert "dead letter 3 cannot be sent to any broker" in err
    assert "Traceback" not in err
    assert len(json.loads(gluon_edge(capsys, "list", path, "--json")[1])["dead"]) == 3
    assert seqs(waiting(path)) == [3]


def test_drop_when_all_then_none_is_left_and_what_waits_stays(path, capsys):
    assert gluon_edge(capsys, "drop", path, "--all", "--json")[:2] == (0, '{"drop": 3}\n')
    assert json.loads(gluon_edge(capsys, "list", path, "--json")[1]) == {"dead": []}
    assert seqs(waiting(path)) == [3]


def test_dead_when_asked_for_what_is_not_there_then_the_line_says_so(path, tmp_path, capsys):
    assert gluon_edge(capsys, "show", path, 9)[0] == 1
    assert gluon_edge(capsys, "drop", path)[0] == 2
    status, _, err = gluon_edge(capsys, "list", tmp_path / "none.spool")
    assert status == 1
    assert "no such file" in err
    world = World(path)
    status, _, err = gluon_edge(capsys, "list", path)
    assert status == 1
    assert "stop the agent first" in err
    world.spool.close()
