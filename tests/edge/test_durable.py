import os

import pytest

from edge.durable import replace_file, write_file


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "state.json"
    for text in ("one", "two", "zwölf"):
        replace_file(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_what_was_there_stays_when_the_disk_fails(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    replace_file(path, "old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_what_a_crash_left_half_written_is_in_nobodys_way(tmp_path):
    (tmp_path / "state.new").write_text("hal")
    replace_file(tmp_path / "state.json", "whole")
    assert (tmp_path / "state.json").read_text() == "whole"


def test_a_link_is_not_written_through(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(outside)
    with pytest.raises(FileExistsError):
        write_file(link, b"yours")
    assert outside.read_text() == "mine"
