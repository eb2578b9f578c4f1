from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from compat_core.errors import CompatError
from compat_core.experiments import status as status_module
from compat_core.experiments.status import (
    RunError,
    RunStatus,
    derived_state,
    is_alive,
    process_start_time,
    this_process,
)


def running(**changes) -> RunStatus:
    return RunStatus(state="running", **{**this_process(), **changes})


def test_round_trip_and_keys_of_a_later_version():
    before = running(error=RunError("what", "fix", "trace"), progress=0.5, eta_s=3.0)
    assert RunStatus.from_dict({**before.to_dict(), "invented_later": 1}) == before


@pytest.mark.parametrize("values", [None, [], {}, {"state": "lost"}, {"state": "sleeping"}])
def test_what_is_no_status_is_refused(values):
    with pytest.raises(CompatError, match="run status"):
        RunStatus.from_dict(values)


def test_this_process_is_alive():
    assert is_alive(running())
    assert derived_state(running()) == "running"


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": None},
        {"pid_start_time": "ticks 1"},  # the number was given to another process
        {"heartbeat": time.time() - 61},
        {"heartbeat": None},
    ],
)
def test_a_process_is_dead_when_anything_about_it_is_wrong(changes):
    assert not is_alive(running(**changes))
    assert derived_state(running(**changes)) == "lost"


def test_a_process_that_ended_is_dead_also_before_it_is_collected():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = process_start_time(child.pid)
    status = running(pid=child.pid, pid_start_time=start)
    assert start is not None and is_alive(status)
    child.kill()
    while process_start_time(child.pid) is not None:  # it becomes a zombie: nobody waited for it
        time.sleep(0.01)
    assert not is_alive(status)
    child.communicate()
    assert process_start_time(child.pid) is None


def test_on_another_host_the_heartbeat_decides():
    assert is_alive(running(host="elsewhere", pid=1, pid_start_time="ticks 0"))
    assert not is_alive(running(host="elsewhere", heartbeat=time.time() - 61))


@pytest.mark.parametrize("state", ["queued", "done", "failed", "cancelled"])
def test_other_states_need_no_process(state):
    assert derived_state(RunStatus(state=state, queued_at=1.0)) == state


def test_a_run_that_was_made_and_never_started_is_lost_with_its_maker():
    assert derived_state(running().replace(state="queued")) == "queued"
    assert derived_state(running(pid_start_time="ticks 1").replace(state="queued")) == "lost"


def test_without_proc_another_source_tells_the_start_time():
    mine = status_module._start_time_without_proc(os.getpid())
    assert mine is not None and mine == status_module._start_time_without_proc(os.getpid())
    assert status_module._start_time_without_proc(2**22 + 1) is None
