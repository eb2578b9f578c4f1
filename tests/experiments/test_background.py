"""A command in a process of its own, found again by whoever asks."""

import time

import pytest

from compat_core.experiments.background import BackgroundProcess


def ended(process, seconds=30):
    until = time.monotonic() + seconds
    while process.is_running:
        assert time.monotonic() < until, "still running"
        time.sleep(0.05)


def test_a_command_leaves_its_words_and_ends(tmp_path):
    process = BackgroundProcess(tmp_path / "new", "one")
    assert process.last_words() is None and not process.is_running
    process.start(["--version"])
    ended(process)
    assert process.last_words().startswith("CompatBench")
    assert BackgroundProcess(tmp_path / "new", "two").last_words() is None


def test_a_second_start_does_nothing_while_the_first_is_at_work(tmp_path, monkeypatch):
    process = BackgroundProcess(tmp_path, "one")
    started = []
    monkeypatch.setattr(BackgroundProcess, "is_running", True)
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: started.append(a))
    process.start(["--version"])
    assert not started


@pytest.mark.parametrize("note", ["", "{", '{"pid": 1, "pid_start_time": "long ago"}'])
def test_a_stale_or_broken_note_is_nobody(tmp_path, note):
    (tmp_path / "one.process").write_text(note)
    assert not BackgroundProcess(tmp_path, "one").is_running
