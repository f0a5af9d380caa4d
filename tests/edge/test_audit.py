"""The account that proves that nothing was lost."""

import json

import pytest
from spooling import World

from edge.cli import main
from edge.errors import ConfigError
from edge.spool.ondisk import waiting_on_disk
from edge.subscriber.audit import read_log


def event(seq, boot="b1", node="n1"):
    return {"topic": "t", "payload": {"schema": "event/1.0", "node": node, "boot_id": boot, "seq": seq}}


def gap(first, last, count, node="n1"):
    lost = {"first_seq": first, "last_seq": last, "count": count, "reason": "full"}
    return {"topic": "t", "payload": {"schema": "gap/1.0", "node": node, "boot_id": "b2", **lost}}


def log(tmp_path, *lines):
    path = tmp_path / "heard.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_audit_when_everything_came_then_nothing_is_missing(tmp_path, capsys):
    path = log(tmp_path, *(event(s) for s in (1, 2, 3, 3)), event(1001, "b2"), event(1002, "b2"), {"summary": {}})

    assert main(["audit", str(path)]) == 0
    assert capsys.readouterr().out == (
        "n1: 5 events of 2 runs, 1 twice, 0 given up with a receipt, 0 wait on its disk, 0 missing\n"
    )


def test_audit_when_some_are_missing_then_they_are_named_and_the_status_is_1(tmp_path, capsys):
    path = log(tmp_path, event(1), event(5), event(9), gap(2, 4, 3))

    assert main(["audit", str(path), "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["n1"]["receipted"] == 3
    assert json.loads(said.out)["n1"]["missing_ranges"] == [[6, 8]]
    assert "missing without a receipt: n1: 6 to 8" in said.err


def test_audit_when_the_rest_waits_on_the_disk_then_it_is_not_missing(tmp_path):
    world = World(tmp_path / "n1.spool")
    world.put(6, 7, 8)
    world.spool.close()
    path = log(tmp_path, event(5), event(9))

    assert waiting_on_disk(world.path) == [6, 7, 8]
    assert main(["audit", str(path), "--spool", str(world.path)]) == 0


@pytest.mark.parametrize("text", ["{", "no json\n"])
def test_audit_when_the_log_is_damaged_then_the_line_is_named(tmp_path, text):
    path = tmp_path / "heard.jsonl"
    path.write_text(json.dumps(event(1)) + "\n" + text)

    with pytest.raises(ConfigError, match="line 2"):
        read_log(path)


def test_audit_when_there_is_no_spool_then_one_line_says_so(tmp_path, capsys):
    assert main(["audit", str(log(tmp_path, event(1))), "--spool", str(tmp_path / "none")]) == 1
    assert "no such file; state_dir says where" in capsys.readouterr().err
