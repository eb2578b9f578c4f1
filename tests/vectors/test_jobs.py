import json
import shlex
import sys
import time

import pytest

from compat_core.errors import CompatError
from compat_core.experiments.store import RunStore
from compat_core.vectors.jobs import DecisionStore
from compat_core.vectors.peek import InputFile


def test_uploads_are_named_by_their_option_and_never_by_the_user(tmp_path):
    job = DecisionStore(tmp_path).create(
        "../../evil",
        ["--pairs", "50"],
        {
            "old": InputFile("../x.NPY", b"x"),
            "new": InputFile("y.npy", b"y"),
            "group=shop": InputFile("i.csv", b"z", "at"),
        },
    )
    assert sorted(path.name for path in job.inputs.iterdir()) == ["group.csv", "new.npy", "old.npy"]
    assert job.arguments == [
        "--old",
        str(job.inputs / "old.npy"),
        "--new",
        str(job.inputs / "new.npy"),
        "--group",
        f"shop={job.inputs / 'group.csv'}:at",
        "--pairs",
        "50",
    ]
    assert job.path.parent == tmp_path / "decisions" and job.title == "../../evil"
    assert RunStore(tmp_path).list() == []


def test_the_command_survives_spaces_in_paths_and_names(tmp_path):
    job = DecisionStore(tmp_path).create("x", ["--old", "my shop/o.npy", "--group", "age group=g.npy"])
    assert shlex.split(job.command()) == ["python", "-m", "compat_core", "decide", *job.arguments, "--out", "DIR"]
    assert job.files == {"old": "my shop/o.npy", "group": "age group=g.npy"}


def test_state_follows_the_files(tmp_path):
    store = DecisionStore(tmp_path)
    assert store.list() == []
    job = store.create("one", [])
    assert job.state == "failed"
    with pytest.raises(CompatError, match="not there"):
        job.document()
    (job.path / "decision.json").write_text(json.dumps({"decision": {}}))
    assert job.state == "done"
    with pytest.raises(CompatError, match="another version"):
        job.document()
    (job.path / "decision.json").write_text(json.dumps({"decision": {}, "schema_version": 1}))
    with pytest.raises(CompatError, match="lacks config, reason, recommended, rows"):
        job.document()
    whole = {"rows": [], "recommended": "", "reason": "", "config": {}}
    (job.path / "decision.json").write_text(json.dumps({"decision": whole, "schema_version": 1}))
    assert job.document()["decision"] == whole
    with pytest.raises(CompatError, match="npz is gone"):
        job.per_query()
    assert store.get(job.id) == job
    job.delete()
    assert store.list() == []
    with pytest.raises(CompatError, match="none of that id"):
        store.get(job.id)


def test_start_runs_decide_into_the_folder(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(
        "compat_core.experiments.background.BackgroundProcess.start", lambda self, words: started.append(words)
    )
    job = DecisionStore(tmp_path).create("one", ["--run", "r"])
    job.start()
    assert started == [["decide", "--run", "r", "--out", str(job.path)]]


def test_a_decision_at_work_is_cancelled_and_can_be_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "compat_core.experiments.background.PROGRAM", (sys.executable, "-c", "import time; time.sleep(600)")
    )
    job = DecisionStore(tmp_path).create("one", [])
    job.start()
    assert job.state == "running"
    with pytest.raises(CompatError, match="worked on"):
        job.delete()
    job.cancel()
    for _ in range(100):
        if job.state != "running":
            break
        time.sleep(0.1)
    assert job.state == "cancelled"
    job.start()
    assert job.state == "running"
    job.process.stop()


def test_the_step_is_the_last_one_that_was_said(tmp_path):
    job = DecisionStore(tmp_path).create("one", [])
    assert job.steps == ""
    job.process.log.write_text("option 1 of 9: status quo\noption 2 of 9: full backfill\nsome warning\n")
    assert job.steps == "option 2 of 9: full backfill"


def test_a_decision_can_be_renamed_and_keeps_the_rest(tmp_path):
    store = DecisionStore(tmp_path)
    job = store.create("old.npy → new.npy", ["--pairs", "50"])
    job.rename("  shop, spring  ")
    (again,) = store.list()
    assert (again.title, again.arguments, again.created) == ("shop, spring", ["--pairs", "50"], job.created)
    with pytest.raises(CompatError, match="must hold something"):
        job.rename("  ")
    assert job.title == "shop, spring"


def test_last_words_call_uploads_as_they_were_and_name_no_options(tmp_path):
    job = DecisionStore(tmp_path).create("t", [], {"labels": InputFile("my *labels*.npy", b"x")})
    assert job.last_words == "the process was ended"
    job.process.log.write_text(
        f"{job.inputs / 'labels.npy'}: holds no label; add --ids; give ids (--ids, --new-ids); see: check"
    )
    assert job.last_words == "my *labels*.npy: holds no label; add ids; give ids"
