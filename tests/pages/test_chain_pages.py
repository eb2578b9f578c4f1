"""A chain of versions: shown and taken along on Compare, and not offered where one old and one new model are needed."""

import io
import shutil

import pandas as pd
import pytest

from compat_core.experiments.store import RunStore
from compat_core.reports.chains import chain_cells, chain_entries, chain_matrix
from compat_core.ui.overview import headline
from tests.pages.test_pages import texts


@pytest.fixture
def beside(chain_root, finished_root, tmp_path, monkeypatch):
    """A store with a chain and a run of one old and one new model; their ids."""
    for root in (chain_root, finished_root):
        shutil.copytree(root, tmp_path / "runs", dirs_exist_ok=True)
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    runs = {bool(run.config.scenario.chain): run.id for run in RunStore(tmp_path / "runs").list()}
    return runs[True], runs[False]


@pytest.fixture
def taken(monkeypatch):
    """What the page offers to download, by the key of its buttons."""
    built = {}
    for module in ("compare_parts", "chain_parts"):
        monkeypatch.setattr(
            f"compat_core.ui.{module}.download_table", lambda name, key, build: built.update({key: build})
        )
    return built


@pytest.fixture
def report(monkeypatch):
    """Builds the report that the Compare page offers."""
    built = {}
    monkeypatch.setattr(
        "compat_core.ui.compare_parts.st.download_button", lambda label, data, **settings: built.update({label: data})
    )
    return lambda: built["HTML report"]().decode()


@pytest.mark.parametrize("page", ["space", "search"])
def test_a_link_to_a_chain_is_told_where_it_is_shown(page, beside, visit):
    chain, upgrade = beside
    app = visit(page, run=chain)
    assert f"{chain} is a chain of versions" in texts(app) and "Compare" in texts(app)
    assert "deleted" not in texts(app) and not app.error
    assert app.selectbox(key="run-choice").value == upgrade
    assert all(chain not in option for option in app.selectbox(key="run-choice").options)


@pytest.mark.parametrize("page", ["space", "search"])
def test_a_chain_alone_is_nothing_to_look_at(page, chain, visit):
    app = visit(page)
    assert "No finished run of one old and one new model yet" in texts(app) and not app.error


def test_runs_sends_a_chain_to_compare_only(beside, visit):
    chain, upgrade = beside

    def links(run):
        return {link.proto.label for link in visit("runs", run=run).main.get("page_link")}

    assert {"Space", "Search"} <= links(upgrade)
    assert "Compare" in links(chain) and not {"Space", "Search"} & links(chain)


def test_a_chain_alone_is_taken_along_whole(chain, visit, taken, report):
    app = visit("compare")
    assert not app.error
    by_method = chain_entries(chain.results(), "mAP")
    for method, entries in by_method.items():
        matrix = pd.read_csv(io.BytesIO(taken[f"chain-{chain.id}-{method}-get"]("csv")))
        pd.testing.assert_frame_equal(matrix, chain_cells(entries), check_dtype=False)
        assert b"gallery v3" in taken[f"chain-{chain.id}-{method}-get"]("md")
    assert len(pd.read_csv(io.BytesIO(taken["results-get"]("csv")))) == len(chain.rows())
    table = taken["results-get"]("md").decode()
    assert "AC ↑" in table and "not tested" not in table
    page = report()
    assert "Chain of versions, mAP" in page and "not tested" not in page
    assert all(text in page for text in chain_matrix(by_method["bct-sys"])["gallery v1"])


def test_a_report_holds_a_chain_and_an_upgrade(beside, visit, taken, report):
    app = visit("compare", run=list(beside))
    assert not app.error
    page = report()
    assert "Chain of versions, mAP" in page and "All runs together" in page and "Cost and recovered gain" in page


def test_cells_in_numbers_are_those_of_the_matrix(chain):
    for entries in chain_entries(chain.results(), "CMC@1").values():
        cells = chain_cells(entries).set_index(["query", "gallery"])
        assert len(cells) == 6
        assert cells.loc[("v3", "v1"), "value"] == entries[0]["matrix"][2][0]
        assert cells.loc[("v3", "v1"), "outcome"] == next(
            pair["outcome"] for pair in entries[0]["pairs"] if pair["cell"] == "v3/v1"
        )
        assert cells.loc[("v1", "v1"), ["outcome", "difference"]].isna().all()


def test_the_list_of_runs_names_the_share_of_compatible_pairs(chain_root):
    (run,) = RunStore(chain_root).list()
    shares = {entry["method"]: entry["AC"] for entry in run.results()["chain"] if entry["metric"] == "mAP"}
    said = dict(part.rsplit(" AC ", 1) for part in headline(run).split(", "))
    assert said == {method: f"{100 * share:.1f}" for method, share in shares.items()}
    assert list(said) == sorted(said, key=lambda method: -shares[method])
