"""Vectors: what is brought, and what of it is refused before anything starts."""

import io
import shutil

import numpy as np
import pytest

from compat_core.ui.words import literal
from tests.vectors.worlds import better_new


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_two_uploads_start_a_decision(empty, visit, started):
    app = visit("vectors")
    assert app.button(key="vectors-start").disabled
    given = better_new()
    for name in ("old", "new"):
        app.file_uploader(key=f"vectors-{name}").upload(
            f"{name}.npy", npy(getattr(given, name)), "application/x-npy"
        ).run()
    app.number_input(key="vectors-config-pairs").set_value(123).run()
    app.button(key="vectors-start").click().run()
    assert not app.exception
    (job,) = started
    assert job.arguments[-2:] == ["--pairs", "123"] and job.title == "old.npy → new.npy"
    np.testing.assert_array_equal(np.load(job.inputs / "old.npy"), given.old)


def test_the_column_of_an_uploaded_table_is_asked_for(empty, visit, started):
    app = visit("vectors")
    given = better_new()
    for name in ("old", "new"):
        app.file_uploader(key=f"vectors-{name}").upload(
            f"{name}.npy", npy(getattr(given, name)), "application/x-npy"
        ).run()
    rows = "".join(f"{row},{row % 7},{row % 3}\n" for row in range(500))
    app.file_uploader(key="vectors-group").upload("items.csv", f"id,shelf,shop\n{rows}".encode(), "text/csv").run()
    choice = app.selectbox(key="vectors-column-group")
    assert choice.options == ["shelf", "shop", "id"] and choice.label == "Column of items.csv"
    app = choice.set_value("shop").run()
    app.button(key="vectors-start").click().run()
    assert not app.exception
    words = started[0].arguments
    assert words[words.index("--group") + 1] == f"shop={started[0].inputs / 'group.csv'}:shop"


def test_paths_that_are_not_there_are_said_and_kept_and_hide_nothing(empty, visit, started, tmp_path):
    np.save(tmp_path / "new.npy", better_new().new)
    app = visit("vectors")
    app.segmented_control(key="vectors-source").set_value("paths").run()
    app.text_input(key="vectors-path-old").set_value("/no/such/old.npy").run()
    assert any("/no/such/old.npy" in error.value for error in app.error)
    assert app.text_input(key="vectors-path-old").value == "/no/such/old.npy" and not app.exception
    app.text_input(key="vectors-path-new").set_value(str(tmp_path / "new.npy")).run()
    assert app.text_input(key="vectors-path-ages").value == "" and app.button(key="vectors-start").disabled
    app.text_input(key="vectors-path-old").set_value(str(tmp_path / "new.npy")).run()
    app.text_input(key="vectors-path-group").set_value(str(tmp_path / "new.npy")).run()
    assert any("one dimension" in error.value for error in app.error)
    app.text_input(key="vectors-path-group").set_value("").run()
    app.button(key="vectors-start").click().run()
    assert started[0].arguments[:2] == ["--old", str(tmp_path / "new.npy")]


def test_files_that_do_not_fit_are_said_by_their_own_names(empty, visit, started):
    app = visit("vectors")
    given = better_new()
    for name, array in (("old", given.old), ("new", given.new[:90])):
        app.file_uploader(key=f"vectors-{name}").upload(f"shop-{name}.npy", npy(array), "application/x-npy").run()
    (error,) = app.error
    assert error.value.startswith("shop-new.npy: holds 90 rows, shop-old.npy 500")
    assert app.button(key="vectors-start").disabled


def test_names_of_files_are_shown_as_they_are(empty, visit, started):
    app = visit("vectors")
    bad = better_new().old.copy()
    bad[7] = np.nan
    app.file_uploader(key="vectors-old").upload("d *x* $y$ _q_.npy", npy(bad), "application/x-npy").run()
    (error,) = app.error
    assert error.value.startswith(literal("d *x* $y$ _q_.npy: row 7 is not finite"))
    app.file_uploader(key="vectors-group").upload("*a* $b$.csv", b"shop,size\na,1\n", "text/csv").run()
    assert app.selectbox(key="vectors-column-group").label == f"Column of {literal('*a* $b$.csv')}"


def test_a_finished_run_brings_its_vectors(finished, visit, started):
    app = visit("vectors")
    app.segmented_control(key="vectors-source").set_value("run").run()
    app.button(key="vectors-start").click().run()
    (job,) = started
    assert job.arguments[:2] == ["--run", finished.list()[0].id]
    job.delete()


@pytest.mark.parametrize("wrong", ['{"no_such_key": 1}', "{"])
def test_a_run_with_a_broken_configuration_leaves_the_form_to_the_others(copied, visit, started, wrong):
    (good,) = copied.list()
    odd = copied.root / "odd"
    shutil.copytree(good.path, odd)
    (odd / "config.json").write_text(wrong)
    app = visit("vectors")
    app.segmented_control(key="vectors-source").set_value("run").run()
    app.selectbox(key="vectors-run").set_value("odd").run()
    assert len(app.error) == 1 and app.button(key="vectors-start").disabled
    app = app.selectbox(key="vectors-run").set_value(good.id).run()
    assert not app.error
    app.button(key="vectors-start").click().run()
    assert started[0].arguments[:2] == ["--run", good.id]
