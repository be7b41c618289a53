"""A file is whole or absent."""

import json
import os

import pytest

from regraft.disk.atomic import atomic, write_bytes, write_json, write_text


def test_a_file_appears_whole_and_nothing_else_is_left(tmp_path):
    write_text(tmp_path / "a.txt", "äé\n")
    assert (tmp_path / "a.txt").read_bytes() == "äé\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="half way"), atomic(path) as temporary:
        temporary.write_bytes(b"ne")
        raise RuntimeError("half way")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_json_refuses_nan_rather_than_writing_what_others_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_names_that_are_not_utf8_are_written_back_as_their_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    write_text(tmp_path / "a.txt", name)
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xe9.jpg"


def test_json_is_valid_utf8_whatever_the_names_of_files_are(tmp_path):
    names = {"B\udce4r": "\ud800 ä 🐜"}
    write_json(tmp_path / "names.json", names)
    assert json.loads((tmp_path / "names.json").read_text(encoding="utf-8")) == names
    assert "ä 🐜" in (tmp_path / "names.json").read_text(encoding="utf-8")
