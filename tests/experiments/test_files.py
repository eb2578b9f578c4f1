from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.experiments import files


def test_json_round_trip_keeps_values_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"ü": [1, 2.5, None, True]})
    files.write_json(path, {"ü": [1, 2.5, None, False]}, fsync=True)
    assert files.read_json(path) == {"ü": [1, 2.5, None, False]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_json_writes_what_json_lacks_as_null_and_numpy_as_numbers(tmp_path):
    path = tmp_path / "a.json"
    values = {
        "nan": float("nan"),
        "inf": -np.inf,
        "array": np.float32([1, np.nan]),
        "item": np.int64(7),
        "path": tmp_path,
    }
    files.write_json(path, values)
    assert files.read_json(path) == {"nan": None, "inf": None, "array": [1.0, None], "item": 7, "path": str(tmp_path)}


def test_a_value_without_json_form_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, 1)
    with pytest.raises(TypeError, match="no JSON form"):
        files.write_json(path, object())
    assert files.read_json(path) == 1


def test_writing_does_not_bring_a_deleted_folder_back(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_json(tmp_path / "gone" / "a.json", 1)
    with pytest.raises(FileNotFoundError):
        files.append_line(tmp_path / "gone" / "a.txt", "x")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_broken_json_file_is_said_to_be_broken(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CompatError, match="not valid JSON"):
        files.read_json(tmp_path / "a.json")


def test_events_are_read_from_an_offset_and_a_half_written_line_waits(tmp_path):
    path = tmp_path / "events.jsonl"
    assert files.read_events(path, 0) == ([], 0)
    files.append_event(path, {"step": 1})
    events, offset = files.read_events(path, 0)
    assert events == [{"step": 1}] and offset == path.stat().st_size
    with open(path, "ab") as file:
        file.write(b'{"step": 2')
    assert files.read_events(path, offset) == ([], offset)
    with open(path, "ab") as file:
        file.write(b"}\n")
    events, end = files.read_events(path, offset)
    assert events == [{"step": 2}] and end == path.stat().st_size
    assert files.read_events(path, end) == ([], end)


def test_the_line_of_a_killed_writer_is_lost_alone(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"step": 1}\n{"ste')
    files.append_event(path, {"step": 3})
    assert files.read_events(path)[0] == [{"step": 1}, {"step": 3}]


def test_an_offset_behind_the_end_reads_from_the_start(tmp_path):
    path = tmp_path / "events.jsonl"
    files.append_event(path, {"a": 1})
    assert files.read_events(path, 10_000)[0] == [{"a": 1}]


def test_lines_of_several_threads_stay_whole(tmp_path):
    path = tmp_path / "events.jsonl"

    def write(thread: int) -> None:
        for step in range(50):
            files.append_event(path, {"thread": thread, "step": step, "text": "x" * 200})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert len([json.loads(line) for line in lines if line]) == 200


def test_tail_gives_the_last_lines(tmp_path):
    path = tmp_path / "log.txt"
    assert files.tail(path, 3) == ""
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert files.tail(path, 2) == "line 998\nline 999"
    assert files.tail(path, 0) == ""
    assert files.tail(path, 500, most_bytes=25) == "line 998\nline 999"
