"""Backfill: curves with their bill; a click neither parses every run anew nor loads its networks."""

import shutil

from compat_core.experiments import files
from compat_core.experiments.artefacts import Artefacts


def test_a_second_look_parses_no_results_and_loads_no_networks(copied, visit, monkeypatch):
    (run,) = copied.list()
    for place in range(3):
        shutil.copytree(run.path, copied.root / f"copy-{place}")
    app = visit("backfill")
    assert app.get("plotly_chart") and not app.error
    read, parsed, loaded = files.read_json, [], []
    monkeypatch.setattr(files, "read_json", lambda path: parsed.append(path.name) or read(path))
    monkeypatch.setattr(Artefacts, "load_upgrade", lambda *arguments: loaded.append(arguments))
    app.run()
    assert not app.exception and not app.error
    visit("runs")
    assert parsed.count("results.json") == 0
    assert not loaded


def test_what_the_method_does_to_old_rows_is_said(copied, visit):
    app = visit("backfill")
    assert "mapped by fct" in "\n".join(caption.value for caption in app.caption)
    app.selectbox(key="backfill-method").set_value("bct-sys").run()
    assert "old, as bct-sys leaves them" in "\n".join(caption.value for caption in app.caption)
