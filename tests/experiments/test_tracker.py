from __future__ import annotations

import errno
import shutil
import threading

import pytest

from compat_core.data import ScenarioConfig
from compat_core.errors import Cancelled, CompatError
from compat_core.experiments import environment, files, tracker
from compat_core.experiments.advice import BAD_INPUT, BUG, LESS_MEMORY, advise, advise_exit, is_bug
from compat_core.experiments.estimate import works
from compat_core.experiments.pace import Work
from compat_core.experiments.reporting import NullTracker
from compat_core.experiments.tracker import RunTracker


def kinds(run) -> list[str]:
    return [event["kind"] for event in run.events()[0]]


def test_the_life_of_a_run(store, config):
    run, echoed, seen = store.create(config), [], []
    with RunTracker(run, echoed.append, seen.append) as track:
        assert run.status.state == "running" and run.lock.is_held()
        track.start("cpu", "no GPU was found")
        track.stage("load", 0, 2)
        track.stage("train", 1, 2)
        assert run.status.stage == "train" and run.status.progress == 0.5
        track.event("epoch", loss=float("nan"), epoch=1)
        track.progress(0.5)
        track.finish()
        track.finish()
    status = run.status
    assert (status.state, status.progress, status.eta_s, status.device) == ("done", 1.0, None, "cpu")
    assert status.finished_at >= status.started_at
    assert not run.lock.is_held()
    assert kinds(run) == ["stage_end", "epoch", "stage_end"]
    assert run.events()[0][1]["loss"] is None and run.events()[0][1]["stage"] == "train"
    assert [entry["name"] for entry in track.stage_seconds()] == ["load", "train"]
    assert "device: cpu (no GPU was found)" in echoed and "stage 2/2: train" in echoed
    assert "stage 2/2: train" in run.log_tail()
    assert seen[-1].state == "done"


def test_progress_is_written_now_and_then_and_stays_in_range(store, config, monkeypatch):
    run, writes = store.create(config), []
    with RunTracker(run, on_status=lambda status: writes.append(status.progress)) as track:
        track.stage("one", 0, 1)
        before = len(writes)
        for step in range(1000):
            track.progress(step / 1000)
        assert len(writes) - before <= 2
        monkeypatch.setattr(tracker, "STATUS_EVERY_S", 0.0)
        track.progress(7.0)
        track.progress(-1.0)
    assert writes[-2:] == [1.0, 0.0]


def test_skipped_stages_do_not_shorten_the_estimate(store, config, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(tracker.time, "monotonic", lambda: clock[0])
    track = RunTracker(store.create(config))
    for index in range(9):  # a resumed run steps over eight finished stages
        track.stage(f"stage {index}", index, 10)
    clock[0] += 10.0
    assert track._progress_fields(0.5)["eta_s"] == pytest.approx(30.0)  # 0.05 of the whole took 10 s; 0.15 are left


def test_cancelling(store, config):
    run = store.create(config)
    with pytest.raises(Cancelled), RunTracker(run) as track:
        track.check_cancelled()
        run.request_cancel()
        track.check_cancelled()  # looked a moment ago: not again yet
        track._checked_at = 0.0
        track.check_cancelled()
    assert run.status.state == "cancelled" and run.status.error is None


def test_ctrl_c_cancels(store, config):
    run = store.create(config)
    with pytest.raises(KeyboardInterrupt), RunTracker(run):
        raise KeyboardInterrupt
    assert run.status.state == "cancelled"


@pytest.mark.parametrize(
    ("error", "message", "fix", "trace"),
    [
        (CompatError("epochs", value=0, rule="must be >= 1"), "epochs: got 0; must be >= 1", BAD_INPUT, False),
        (MemoryError("no room"), "MemoryError: no room", LESS_MEMORY, False),
        (RuntimeError("CUDA out of memory. Tried"), "RuntimeError: CUDA out of memory. Tried", LESS_MEMORY, False),
        (ValueError("two\nlines"), "ValueError: two lines", BUG, True),
    ],
)
def test_failing_says_what_to_do(store, config, error, message, fix, trace):
    run = store.create(config)
    with pytest.raises(type(error)), RunTracker(run):
        raise error
    status = run.status
    assert status.state == "failed"
    assert (status.error.message, status.error.fix, status.error.traceback is not None) == (message, fix, trace)
    assert f"failed: {message}" in run.log_tail()
    assert ("Traceback" in run.log_tail()) == trace


def test_advice_for_limits_of_the_machine():
    assert "disk" in advise(OSError(errno.ENOSPC, "No space left on device")).fix
    for wrong in (errno.ENOSPC, errno.EROFS, errno.EACCES):
        assert not is_bug(OSError(wrong, "no")), "a limit of the machine"
        assert "--runs-dir" in advise(OSError(wrong, "no")).fix
        fix = advise(OSError(wrong, "no"), of_run=False).fix
        assert "another folder" in fix and "--runs-dir" not in fix and "resume" not in fix
    assert "pip install nothere" in advise(ModuleNotFoundError("No module", name="nothere.sub")).fix
    assert is_bug(KeyError("x")) and is_bug(ModuleNotFoundError("No module", name="compat_core.x"))
    assert not is_bug(MemoryError()) and not is_bug(CompatError("x"))
    assert "SIGKILL" in advise_exit(-9).message and "memory" in advise_exit(-9).fix
    assert "exit status 3" in advise_exit(3).message
    assert "signal 63" in advise_exit(-63).message or "SIG" in advise_exit(-63).message


def test_a_run_deleted_meanwhile_stops_quietly(store, config):
    run = store.create(config)
    with pytest.raises(Cancelled, match="deleted"), RunTracker(run) as track:
        shutil.rmtree(run.path)
        with pytest.raises(CompatError, match="was deleted"):
            track.event("step")
        track._checked_at = 0.0
        track.check_cancelled()
    assert not run.path.exists()


def test_only_one_process_works_on_a_run(store, config):
    run = store.create(config)
    with RunTracker(run) as first:
        with pytest.raises(CompatError, match="another process"), RunTracker(run):
            pass
        assert run.status.state == "running"
        first.finish()


def test_the_heart_beats(store, config, monkeypatch):
    monkeypatch.setattr(tracker, "HEARTBEAT_EVERY_S", 0.01)
    run, beaten = store.create(config), threading.Event()
    with RunTracker(run) as track:
        began = run.status.heartbeat
        track._on_status = lambda status: beaten.set() if status.heartbeat > began else None
        assert beaten.wait(5)
        track.finish()
    assert not track._heart.is_alive() and run.status.state == "done"


def test_a_resumed_run_remembers_what_it_ran_on_before(store, config):
    run = store.create(config)
    for device in ("cpu", "cuda:0", "cpu"):
        with RunTracker(run) as track:
            track.start(device, "a test")
    recorded = run.environment()
    assert recorded["device"] == "cpu"
    assert [before["device"] for before in recorded["earlier"]] == ["cpu", "cuda:0"]


def test_threads_and_precision_are_recorded_and_a_change_is_said(store, config):
    run = store.create(config)
    for threads in (2, 2, 1):
        with RunTracker(run) as track:
            track.start("cpu", "a test")
            track.computes_with(threads, "float32")
    recorded = run.environment()
    assert (recorded["cpu_threads"], recorded["precision"]) == (1, "float32")
    assert [before["cpu_threads"] for before in recorded["earlier"]] == [2, 2]
    assert run.log_tail(50).count("note: cpu_threads is 1, was 2") == 1


def test_the_environment_is_plain_json(tmp_path):
    shot = environment.snapshot("cpu", "asked for")
    files.write_json(tmp_path / "e.json", shot)
    assert files.read_json(tmp_path / "e.json") == shot
    assert shot["packages"]["torch"] and shot["cpu"] and shot["device_reason"] == "asked for"
    assert environment.git_state(tmp_path) is None
    assert environment.command(["/x/compat_core/__main__.py", "demo", "--seeds", "0 1"]) == (
        "python -m compat_core demo --seeds '0 1'"
    )


def test_the_null_tracker_takes_everything(tmp_path):
    with NullTracker() as track:
        track.start("cpu", "x")
        track.stage("a", 0, 1)
        track.progress(0.1)
        track.event("x", y=1)
        track.log("x")
        track.check_cancelled()
        track.finish()
        track.cancelled()
        track.fail(ValueError())
        assert track.stage_seconds() == []
    faces = {name for name in vars(tracker.Tracker) if not name.startswith("_")}
    for cls in (NullTracker, RunTracker):
        assert faces <= set(vars(cls))


def test_evaluation_has_a_weight_of_its_own(store, config, monkeypatch):
    """While evaluating, the time left is the evaluation's, not what is left of a training."""
    clock = [100.0]
    monkeypatch.setattr(tracker.time, "monotonic", lambda: clock[0])
    track = RunTracker(store.create(config))
    track.expect([Work(training=1.0), Work(training=3.0), Work(seconds=40.0)])
    track.stage("old", 0, 3)
    assert track._progress_fields(0.0) == {"progress": 0.0, "eta_s": None}
    clock[0] += 5.0
    assert track._progress_fields(1.0)["eta_s"] == pytest.approx(3 * 5 + 40)
    track.stage("new", 1, 3)
    clock[0] += 15.0
    track.stage("evaluation", 2, 3)
    assert track._progress_fields(0.0) == {"progress": pytest.approx(20 / 60), "eta_s": pytest.approx(40.0)}
    clock[0] += 30.0  # the machine is slower than the guess
    assert track._progress_fields(0.5)["eta_s"] == pytest.approx(30.0)


def test_every_stage_of_a_run_is_expected(config):
    """The runner's number of stages and the expected ones agree, chains included."""
    for chosen in (config.replace(seeds=(0, 1)), config.replace(scenario=ScenarioConfig(chain=(0.25, 0.5, 1.0)))):
        steps = max(1, len(chosen.scenario.chain) - 1)
        stages = 1 + len(chosen.seeds) * (2 + steps * (1 + len(chosen.methods)))
        assert len(works(chosen, 100, 50)) == stages
