"""The node's counter and its ids: on real files, over processes."""

import pytest

from edge.errors import ConfigError
from edge.sequence import Sequence, new_id


def test_sequence_when_processes_follow_each_other_then_numbers_never_repeat(tmp_path):
    used = []
    for i in range(4):
        sequence = Sequence(tmp_path, "n")
        used += [sequence.next() for _ in range(5 + 700 * i)]
        sequence.close()  # as a kill would: nothing is written on the way out

    assert used[0] == 1
    assert used == sorted(set(used))


def test_sequence_when_its_file_is_damaged_then_it_is_kept_aside_and_numbers_go_on_far_ahead(tmp_path, caplog):
    sequence = Sequence(tmp_path, "n")
    first = sequence.next()
    sequence.close()
    (tmp_path / "n.seq").write_bytes(b"\xff\x00garbage")

    sequence = Sequence(tmp_path, "n")

    assert sequence.next() > first + 1_000_000
    assert next(tmp_path.glob("n.damaged-*")).read_bytes() == b"\xff\x00garbage"
    assert "damaged" in caplog.text
    sequence.close()


def test_sequence_when_another_agent_has_it_then_it_is_refused(tmp_path):
    sequence = Sequence(tmp_path, "n")
    try:
        with pytest.raises(ConfigError, match="another agent runs as node 'n'"):
            Sequence(tmp_path, "n")
        Sequence(tmp_path, "other").close()
    finally:
        sequence.close()


def test_sequence_when_the_folder_cannot_be_made_then_the_line_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"state_dir .*file/state: Not a directory"):
        Sequence(tmp_path / "file" / "state", "n")


def test_new_id_when_time_passes_then_ids_sort_by_it():
    ids = [new_id(ms * 1_000_000) for ms in (0, 1, 1_700_000_000_000, 1_700_000_000_001, (1 << 48) - 1)]

    assert ids == sorted(ids)
    assert all(len(i) == 26 for i in ids)
    assert len({new_id(0) for _ in range(100)}) == 100
