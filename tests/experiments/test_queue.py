from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from compat_core.errors import Cancelled, CompatError
from compat_core.experiments import queue, settling
from compat_core.experiments.locks import FileLock
from compat_core.experiments.run import Run
from compat_core.experiments.status import RunStatus, this_process
from compat_core.experiments.tracker import RunTracker
from compat_core.experiments.worker import supervise, work


@pytest.fixture(autouse=True)
def spawned(monkeypatch) -> list[str]:
    """No dispatcher is started behind a test's back; the keys that were asked for."""
    keys: list[str] = []
    monkeypatch.setattr(queue, "spawn_dispatcher", lambda store, key: keys.append(key))
    return keys


@pytest.fixture
def serve(store, fake_worker):
    def serve(key: str = "cpu") -> int:
        return queue.dispatch(store, key, fake_worker, poll_s=0.05, lock_wait_s=0.0)

    return serve


def titled(config, title):
    return config.replace(title=title)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 s"
        time.sleep(0.01)


@pytest.mark.parametrize(("request_", "key"), [("cpu", "cpu"), ("cuda", "gpu"), ("cuda:1", "gpu"), ("mps", "gpu")])
def test_device_keys(request_, key):
    assert queue.device_key(request_) == key
    assert queue.device_key("auto") in queue.DEVICE_KEYS


def test_runs_are_served_one_after_another_oldest_first(store, config, serve, spawned):
    runs = [queue.enqueue(store, titled(config, name)) for name in ("b", "a", "c")]
    other = queue.enqueue(store, config.replace(device="cuda"))
    plain = store.create(config)  # made for the foreground: not the queue's
    assert spawned == ["cpu", "cpu", "cpu", "gpu"]
    assert [queue.queue_position(store, run) for run in (*runs, other, plain)] == [1, 2, 3, 1, None]
    assert serve() == 3
    assert (store.root / "order.txt").read_text().split() == [run.id for run in runs]
    assert [run.status.state for run in (*runs, other, plain)] == ["done"] * 3 + ["queued"] * 2
    assert queue.queue_position(store, runs[0]) is None
    assert serve() == 0


def test_a_failing_or_dying_worker_does_not_stop_the_queue(store, config, serve):
    runs = {name: queue.enqueue(store, titled(config, name)) for name in ("bug", "memory", "exit", "fine")}
    assert serve() == 4
    states = {name: run.status.state for name, run in runs.items()}
    assert states == {"bug": "failed", "memory": "failed", "exit": "failed", "fine": "done"}
    assert "ValueError: a bug" in runs["bug"].status.error.message
    assert "Traceback" in runs["bug"].log_tail()
    assert "--batch-size" in runs["memory"].status.error.fix
    left = runs["exit"].status.error
    assert "exit status 3" in left.message and "last words" in left.traceback


def test_kill_9_makes_a_run_lost_and_resume_goes_on_in_the_same_folder(store, config, serve):
    run = queue.enqueue(store, titled(config, "killed"))
    serve()
    status = run.status
    assert status.state == "lost" and run.stored_status().state == "running"
    assert "SIGKILL" in status.error.message
    assert queue.resume(store, run) == run
    assert run.status.state == "queued" and run.status.error is None
    assert queue.queue_position(store, run) == 1
    assert serve() == 1
    assert run.status.state == "done" and (run.path / "stage-1-done").exists()
    with pytest.raises(CompatError, match=f"it is done.*compat_core run .*{run.id}/config.json"):
        queue.resume(store, run)


def test_a_finished_run_is_resumed_where_its_results_are_damaged(store, config, serve):
    run = store.create(config)
    run.write_status(RunStatus(state="done"))
    (run.path / "results.json").write_text("{}")
    with pytest.raises(CompatError, match="it is done"):
        queue.resume(store, run)
    (run.path / "results.json").write_text('{"rows": [')
    queue.resume(store, run)
    assert serve() == 1 and run.status.state == "done"


def test_a_queued_run_is_cancelled_at_once_and_can_be_resumed(store, config, serve):
    run = queue.enqueue(store, config)
    assert queue.cancel(run) == "cancelled"
    assert run.status.finished_at and serve() == 0
    queue.resume(store, run)
    assert not run.cancel_requested() and serve() == 1
    assert run.status.state == "done"
    assert queue.cancel(run) == "done" and not run.cancel_requested()


def test_a_run_cancelled_while_its_worker_starts_is_not_worked_on(store, config, fake_worker):
    run = queue.enqueue(store, config)

    def cancel_first(served):
        run.request_cancel()
        return fake_worker(served)

    assert queue.dispatch(store, "cpu", cancel_first, poll_s=0.05) == 1
    assert run.status.state == "cancelled" and not (store.root / "order.txt").exists()


@pytest.mark.parametrize("title", ["stuck", "deaf"])
def test_a_running_run_is_cancelled(store, config, serve, monkeypatch, title):
    if title == "deaf":  # it never looks at its cancel file: SIGTERM follows
        monkeypatch.setattr(queue, "TERMINATE_AFTER_S", 0.1)
    run = queue.enqueue(store, titled(config, title))
    dispatcher = threading.Thread(target=serve)
    dispatcher.start()
    wait_until(lambda: run.status.stage == "pretend")
    assert queue.queue_position(store, run) is None
    with pytest.raises(CompatError, match="it is running"):
        queue.resume(store, run)
    queue.cancel(run)
    dispatcher.join(10)
    assert not dispatcher.is_alive() and run.status.state == "cancelled"


def test_a_run_resumed_while_its_cancelled_worker_still_leaves_is_another_attempt(store, config, serve, monkeypatch):
    monkeypatch.setenv("LINGER_S", "1")
    run = queue.enqueue(store, titled(config, "stuck"))
    server = threading.Thread(target=serve)
    server.start()
    wait_until(lambda: run.status.state == "running")
    queue.cancel(run)
    wait_until(lambda: run.status.state == "cancelled")
    queue.resume(store, run)
    wait_until(lambda: run.status.state != "queued")
    assert run.status.state == "running"
    queue.cancel(run)
    server.join()
    assert run.stored_status().state == "cancelled"


def test_a_run_deleted_while_it_is_served_does_not_stop_the_queue(store, config, fake_worker):
    first, second = queue.enqueue(store, config), queue.enqueue(store, config)

    def delete_first(run):
        if run.id == first.id:
            first.delete()
        return fake_worker(run)

    queue.dispatch(store, "cpu", delete_first, poll_s=0.05)
    assert not first.exists() and second.status.state == "done"


def test_one_dispatcher_per_queue(store, config, serve):
    run = queue.enqueue(store, config)
    (store.root / ".queue").mkdir(exist_ok=True)
    lock = FileLock(store.root / ".queue" / "cpu.lock")
    assert lock.acquire()
    assert serve() == 0 and run.status.state == "queued"
    lock.release()
    assert serve() == 1


def test_a_run_in_the_foreground_keeps_the_device(store, config, serve):
    foreground = store.create(config)
    waiting = queue.enqueue(store, config)
    with RunTracker(foreground) as tracker:
        dispatcher = threading.Thread(target=serve)
        dispatcher.start()
        wait_until((store.root / ".queue" / "cpu.lock").exists)
        dispatcher.join(0.1)
        assert dispatcher.is_alive() and waiting.status.state == "queued"
        tracker.finish()
    dispatcher.join(10)
    assert waiting.status.state == "done"


def test_retry_is_a_fresh_run_with_the_same_configuration(store, config):
    run = queue.enqueue(store, titled(config, "x"))
    run.update_meta(name="renamed")
    queue.cancel(run)
    again = queue.retry(store, run)
    assert again.id != run.id and again.config == run.config and again.meta.name == "renamed"
    assert again.status.state == "queued" and run.status.state == "cancelled"


def test_waking_serves_what_waited_through_a_restart(store, config, spawned):
    assert queue.wake(store) == ()
    queue.enqueue(store, config)
    spawned.clear()
    assert queue.wake(store) == ("cpu",) and spawned == ["cpu"]


def test_waking_leaves_a_queue_alone_that_is_served_or_about_to_be(store, config, spawned, monkeypatch):
    queue.enqueue(store, config)
    spawned.clear()
    lock = FileLock(store.root / ".queue" / "cpu.lock")
    lock.path.parent.mkdir()
    assert lock.acquire()
    monkeypatch.setattr(
        queue, "waiting_runs", lambda store, key: pytest.fail("looked at all runs") if key == "cpu" else []
    )
    assert queue.wake(store) == ()
    lock.release()
    monkeypatch.undo()
    starts = []
    monkeypatch.setattr(queue, "_popen", lambda command, log: starts.append(FakeProcess(command)) or starts[-1])
    monkeypatch.setattr(queue, "_spawned", [])
    assert queue.wake(store) == ("cpu",)
    assert queue.wake(store) == (), "it has not come to its lock yet"
    starts[-1].ended = 1
    assert queue.wake(store) == ("cpu",), "it died on the way"


class FakeProcess:
    def __init__(self, command):
        self.args, self.ended = command, None

    def poll(self):
        return self.ended


@pytest.fixture
def full_disk(monkeypatch):
    """Refuse to write a status as often as the list has entries; what states were tried to write."""
    refusals, tried, write = [], [], Run.write_status

    def refusing(run, status):
        tried.append(status.state)
        if refusals:
            raise OSError(refusals.pop(), "No space left on device")
        write(run, status)

    monkeypatch.setattr(settling, "RETRY_S", 0.01)
    monkeypatch.setattr(Run, "write_status", refusing)
    return refusals, tried


def test_an_end_that_cannot_be_written_is_tried_again_and_says_why(store, config, serve, full_disk, capsys):
    refusals, tried = full_disk
    run, behind = queue.enqueue(store, titled(config, "exit")), queue.enqueue(store, config)
    tried.clear()
    refusals += [errno.ENOSPC] * 2
    assert serve() == 2
    assert tried == ["failed"] * 3 and behind.status.state == "done"
    error = run.status.error
    assert "exit status 3" in error.message and "No space left" in error.message and "disk is full" in error.fix
    assert f"the end of {run.id} could not be written" in capsys.readouterr().out


def test_a_run_resumed_while_its_end_waits_for_the_disk_is_left_alone(store, config, full_disk, monkeypatch):
    refusals, _ = full_disk
    run = store.create(config)
    run.write_status(RunStatus(state="running"))
    refusals.append(errno.ENOSPC)
    monkeypatch.setattr(settling.time, "sleep", lambda seconds: run.write_status(RunStatus(state="queued")))
    settling.settle(run, run.stored_status(), 1)
    assert run.stored_status().state == "queued"


def test_a_run_that_cannot_be_started_for_a_full_disk_goes_on_waiting(store, config, fake_worker, full_disk):
    refusals, _ = full_disk
    run = queue.enqueue(store, config)
    refusals.append(errno.ENOSPC)
    starts = []

    def command(run):
        starts.append(run.id)
        if len(starts) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return fake_worker(run)

    assert queue.dispatch(store, "cpu", command, poll_s=0.05) == 1
    assert starts == [run.id] * 2 and run.status.state == "done"


def test_a_run_is_resumed_as_soon_as_its_worker_has_let_go(store, config):
    run = store.create(config)
    run.write_status(RunStatus(state="cancelled"))
    lock = run.lock
    assert lock.acquire()
    leaving = threading.Timer(0.2, lock.release)
    leaving.start()
    queue.resume(store, run)
    leaving.join()
    assert run.stored_status().state == "queued"


def test_a_lost_run_whose_process_exists_is_not_resumed(store, config):
    run = store.create(config)
    run.write_status(RunStatus(state="running", **{**this_process(), "heartbeat": 0.0}))
    lock = run.lock
    assert lock.acquire()
    with pytest.raises(CompatError, match="its process still exists"):
        queue.resume(store, run)
    lock.release()
    assert queue.cancel(run) == "cancelled"


def test_work_refuses_a_finished_run(store, config):
    run = store.create(config)
    run.write_status(RunStatus(state="done"))
    with pytest.raises(CompatError, match="done already"):
        work(run.id, store.root, lambda run, tracker: None)


def test_sigterm_cancels_in_the_foreground_and_the_handler_is_put_back(store, config):
    run, before = store.create(config), signal.getsignal(signal.SIGTERM)

    def execute(run, tracker):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

    with pytest.raises(Cancelled, match="SIGTERM"):
        supervise(run, RunTracker(run), execute)
    assert run.status.state == "cancelled" and signal.getsignal(signal.SIGTERM) is before


def test_the_real_programs_without_torch(store, config, monkeypatch):
    """``dispatch`` and ``work`` as processes of their own, on a run that is cancelled before torch would be loaded."""
    run = store.create(config, queued=True)
    run.request_cancel()
    command = [sys.executable, "-X", "importtime", "-m", "compat_core", "dispatch", "--runs-dir", str(store.root)]
    done = subprocess.run([*command, "--device-key", "cpu"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert run.status.state == "cancelled"
    assert " torch\n" not in done.stderr and " numpy\n" not in done.stderr
    assert "was cancelled" in run.log_tail(5, "worker.log")


def test_spawning_starts_a_detached_dispatcher(store, config, monkeypatch):
    monkeypatch.undo()
    run = store.create(config, queued=True)
    run.request_cancel()
    queue.spawn_dispatcher(store, "cpu")
    process = queue._spawned[-1]
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert process.wait(timeout=60) == 0
    assert run.status.state == "cancelled"
    assert (store.root / ".queue" / "cpu.log").read_text() == ""
