"""Protocols, subgroups and scores over test sets, as tables and figures of a finished run."""

import copy
import json

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from compat_core.cli import main
from compat_core.errors import CompatError
from compat_core.experiments.presets import configure
from compat_core.experiments.runner import run_experiment
from compat_core.experiments.store import RunStore
from compat_core.metrics.aggregate import upgrade_scores
from compat_core.reports.alt import alt_text
from compat_core.reports.claims import CLAIMS
from compat_core.reports.frames import higher_is_better
from compat_core.reports.html import html_report
from compat_core.reports.protocols import operating_points, protocols_of, rate_figure, refusals, trials_text
from compat_core.reports.reproduction import keep
from compat_core.reports.reproduction_page import page
from compat_core.reports.subgroups import subgroup_figure, subgroup_table
from compat_core.reports.upgrade_scores import num_test_sets, upgrade_score_table
from compat_core.spec import parse_specs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = configure("demo", epochs=8, seeds=(0, 1), methods=parse_specs("independent,bct-sys")).replace(
        resamples=200
    )
    return run_experiment(config, RunStore(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def results(run):
    return run.results()


def test_table_of_operating_points_agrees_with_the_rows(results):
    assert protocols_of(results) == ["verification", "identification"]
    table = operating_points(results, "verification").set_index(["method", "metric"])
    rows = [
        row["value"] for row in results["rows"]
        if (row["method"], row["cell"], row["metric"]) == ("bct-sys", "new/migrated", "TAR@FAR=0.1")
    ]  # fmt: skip
    assert table.loc[("bct-sys", "TAR@FAR=0.1"), "new/migrated"].startswith(f"{100 * sum(rows) / 2:.1f}")
    assert table.loc[("bct-sys", "TAR@FAR=1e-05"), "old/old"] == "refused"
    assert table.loc[("bct-sys", "TAR@FAR=1e-05"), "verdict"] == ""
    assert table.loc[("independent", "TAR@FAR=0.1"), "verdict"] == "✗ not compatible"
    assert any("1,000,000 impostor pairs" in sentence for sentence in refusals(results, "verification"))
    assert "genuine" in trials_text(results, "verification")
    assert "enrolled" in trials_text(results, "identification")


def test_the_update_gain_of_an_operating_point_is_that_of_the_means_over_seeds(results):
    """The seeds that gain alone would make a method look compatible that loses on average."""
    changed = copy.deepcopy(results)
    levels = {"old/old": (0.5, 0.5), "paragon": (0.6, 0.8), "new/migrated": (0.3, 0.6)}
    for row in changed["rows"]:
        if (row["method"], row["metric"]) == ("bct-sys", "TAR@FAR=0.1") and row["cell"] in levels:
            row["value"] = levels[row["cell"]][row["seed"]]
        if (row["method"], row["metric"]) == ("bct-sys", "update_gain(TAR@FAR=0.1)"):
            row["value"] = (None, 1 / 3)[row["seed"]]

    def shown():
        table = operating_points(changed, "verification").set_index(["method", "metric"])
        return table.loc[("bct-sys", "TAR@FAR=0.1"), "update gain"]

    assert shown() == "–"
    levels["new/migrated"] = (0.55, 0.7)
    for row in changed["rows"]:
        if (row["method"], row["cell"], row["metric"]) == ("bct-sys", "new/migrated", "TAR@FAR=0.1"):
            row["value"] = levels["new/migrated"][row["seed"]]
    assert shown() == "62 %"  # 0.25 of 0.4
    changed["rows"] = [row for row in changed["rows"] if row["seed"] == 1]
    assert shown() == "33 %"  # what that seed's row says


def test_every_row_of_a_protocol_counts_its_own_trials(results):
    for protocol, count in (("verification", "num_templates"), ("identification", "num_mated")):
        entry = next(entry for entry in results["protocols"] if entry["protocol"] == protocol)
        names = operating_points(results, protocol)["metric"].unique()
        own = {row["num_queries"] for row in results["rows"] if row["metric"].partition("(")[2].rstrip(")") in names}
        assert own | {row["num_queries"] for row in results["rows"] if row["metric"] in names} == {entry[count]}


def test_verdicts_of_operating_points_have_intervals_around_their_difference(results):
    found = [verdict for verdict in results["verdicts"] if verdict["metric"].startswith(("TAR", "TPIR", "rank"))]
    assert {verdict["metric"] for verdict in found} >= {"TAR@FAR=0.1", "rank-1"}
    assert all(verdict["ci_low"] <= verdict["difference"] <= verdict["ci_high"] for verdict in found)


@pytest.mark.parametrize("kind", ["roc", "det"])
def test_curves_have_one_line_per_cell(results, kind):
    figure = rate_figure(results, "bct-sys", "verification", kind)
    assert len(figure.data) == 5
    assert figure.layout.xaxis.type == "log"
    with pytest.raises(CompatError, match="protocol curves"):
        rate_figure(results, "fct", "verification", kind)


def test_rates_know_their_direction():
    assert higher_is_better("TAR@FAR=0.001")
    assert not higher_is_better("EER")


def test_subgroups_add_up_to_the_whole(results):
    table = subgroup_table(results, "mAP").set_index(["method", "cell"])
    line = table.loc[("bct-sys", "old/old")]
    first, second = line.iloc[0], line.iloc[1]
    assert line["gap"] == pytest.approx(abs(first - second), abs=1e-9)
    whole = [row["value"] for row in results["rows"]
             if (row["method"], row["cell"], row["metric"]) == ("bct-sys", "old/old", "mAP")]  # fmt: skip
    assert min(first, second) < sum(whole) / 2 < max(first, second)
    figure = subgroup_figure(results, "bct-sys", "random")
    assert len(figure.data) == 3
    best, worst, gap = (np.array(line.y) for line in figure.data)
    np.testing.assert_allclose(gap, np.abs(best - worst))
    with pytest.raises(CompatError, match="subgroup curves"):
        subgroup_figure(results, "bct-sys", "sigma")


def test_the_gap_over_seeds_is_that_of_the_means_shown():
    """Where the best subgroup is another one in each seed nobody is served worse."""

    def entry(seed, first, second):
        groups = [{"name": "seen", "value": first}, {"name": "unseen", "value": second}]
        gap = {"value": abs(first - second), "ci_low": 0.0, "ci_high": 1.0}
        return {"method": "bct", "cell": "new/old", "metric": "mAP", "seed": seed, "groups": groups, "gap": gap}

    table = subgroup_table({"subgroups": [entry(0, 0.3, 0.1), entry(1, 0.1, 0.3)]})
    assert table.loc[0, "gap"] == pytest.approx(0) and table.loc[0, "seeds"] == 2
    assert subgroup_table({"subgroups": [entry(0, 0.3, 0.1)]}).loc[0, ["gap", "gap_ci_high"]].tolist() == [
        pytest.approx(0.2), 1.0,
    ]  # fmt: skip


def test_a_repeated_run_brings_no_test_set_of_its_own(results):
    other = results | {"dataset_card": results["dataset_card"] | {"checksum": "sha256:other"}}
    assert [num_test_sets(chosen) for chosen in ([results], [results, results], [results, other])] == [1, 1, 2]
    assert num_test_sets([{}, {}]) == 2  # results of before checksums were kept


def test_ranks_among_few_enrolled_classes_are_refused_with_the_reason(results):
    """The first five of five classes hold every mate, whatever the model."""
    table = operating_points(results, "identification").set_index(["method", "metric"])
    assert (
        table.loc[("bct-sys", "rank-5"), "old/old"] == "refused" and table.loc[("bct-sys", "rank-5"), "verdict"] == ""
    )
    assert table.loc[("bct-sys", "rank-1"), "verdict"] != ""
    assert "rank-5 among 5 enrolled classes is 100 % of any model" in refusals(results, "identification")


def test_scores_over_test_sets_are_the_metric_of_the_means(results):
    table = upgrade_score_table([results, results]).set_index("method")
    means = {
        cell: sum(row["value"] for row in results["rows"]
                  if (row["method"], row["cell"], row["metric"]) == ("bct-sys", cell, "mAP")) / 2
        for cell in ("new/new", "new/migrated", "old/old", "paragon")
    }  # fmt: skip
    one = upgrade_scores(*([value] for value in means.values()))
    assert table.loc["bct-sys", "P_1"] == pytest.approx(one.p_1)
    assert table.loc["bct-sys", "runs"] == 2


class Finished:
    """The run with results of a test's own."""

    def __init__(self, run, results):
        self.id, self.config, self.meta, self._results, self.environment = (
            run.id, run.config, run.meta, results, run.environment,
        )  # fmt: skip

    def results(self):
        return self._results


def own(run, results, metrics=None):
    """The report's page without plotly's code."""
    return html_report([Finished(run, results)], metrics=metrics).replace(get_plotlyjs(), "")


def test_the_report_holds_backfill_protocols_and_subgroups(run, results):
    page = own(run, results)
    for text in (
        "<h3>Along the backfill</h3>", "mAP along the backfill</caption>", "CMC@1 along the backfill</caption>",
        "<h3>1:1 verification</h3>", "<h3>1:N open-set identification</h3>", "TAR@FAR=0.1",
        "1,000,000 impostor pairs", "<h3>Subgroups</h3>", "gap (points)",
    ):  # fmt: skip
        assert text in page, text
    for line in operating_points(results, "identification").itertuples():
        assert f"<td class='number'>{line[3]}</td>" in page
    backfill, rates, subgroups = (
        alt_text("backfill", results, method="bct-sys"),
        alt_text("rates", results, method="bct-sys", protocol="verification", curve="det"),
        alt_text("subgroups", results, method="bct-sys", order="random"),
    )
    assert all(f'aria-label="{words}"' in page for words in (backfill, rates, subgroups))
    without = {key: value for key, value in results.items() if key not in ("backfill", "protocols", "subgroups")}
    bare = own(run, without)
    drawn = page.count('class="plot"') - bare.count('class="plot"')
    assert drawn == 2 * (1 + 2 * 2 + 1), "per method: backfill, ROC and DET of both protocols, subgroups"
    assert len(page) - len(bare) < 15_000 * drawn, "a figure is some kilobytes, a page stays one that can be mailed"
    assert not any(f"<h3>{heading}" in bare for heading in ("Along", "1:1", "1:N", "Subgroups"))


def test_alt_texts_read_curves_out(results):
    def mean(entries, key, place):
        found = [entry[key][place] for entry in entries]
        return f"{100 * sum(found) / len(found):.1f}"

    curves = [e for e in results["backfill"] if (e["method"], e["order"], e["metric"]) == ("bct-sys", "random", "mAP")]
    words = alt_text("backfill", results, method="bct-sys")
    assert f"random from {mean(curves, 'values', 0)} to {mean(curves, 'values', -1)} %" in words
    gap = f"gap from {mean(curves, 'gap', 0)} to {mean(curves, 'gap', -1)} points"
    assert gap in alt_text("subgroups", results, method="bct-sys", order="random")
    rates = [e for e in results["protocols"]
             if (e["protocol"], e["method"], e["cell"]) == ("verification", "bct-sys", "old/old")]  # fmt: skip
    near = min(range(len(rates[0]["x"])), key=lambda place: abs(rates[0]["x"][place] - 0.01))
    words = alt_text("rates", results, method="bct-sys", protocol="verification", curve="roc")
    assert f"old/old {mean(rates, 'y', near)} % at 1.0 %" in words


def test_a_metric_without_curves_is_never_swapped_in_silence(run, results):
    page = own(run, results, ["R-precision"])
    for what in ("Backfill curves", "Subgroups", "Classes", "Cost and recovered gain"):
        assert f"{what} are not measured in R-precision: shown in mAP." in page
    assert "R-precision (%) ↑</caption>" in page and "mAP (%) ↑</caption>" not in page
    assert "not measured in" not in own(run, results)
    rows = [row for row in results["rows"] if row["metric"] != "R-precision"]
    with pytest.raises(CompatError, match=f"'R-precision'; not measured in {run.id}"):
        own(run, {**results, "rows": rows}, ["R-precision"])


def test_names_in_the_sections_beside_retrieval_are_escaped(run, results):
    evil = "<script>alert(1)</script>"
    page = own(run, json.loads(json.dumps(results).replace('"bct-sys"', json.dumps(evil))))
    assert evil not in page and "Along the backfill" in page


def test_kept_results_say_what_the_run_said(run):
    kept = keep(run)
    json.dumps(kept)
    gain = next(
        line for line in kept["differences"]
        if (line["method"], line["metric"], line["what"]) == ("bct-sys", "mAP", "gain")
    )  # fmt: skip
    rows = [row["value"] for row in run.rows() if (row["method"], row["metric"]) == ("bct-sys", "gain(mAP)")]
    assert gain["value"] == pytest.approx(sum(rows) / 2, abs=1e-5)
    assert gain["ci_low"] <= gain["value"] <= gain["ci_high"]
    text = page([kept])
    assert "| `bct-sys` |" in text
    assert kept["asked"] == list(CLAIMS.names())
    assert "not tested" in text and "not asked" not in text  # claims that no kept run speaks to are still listed
    assert str(run.path) not in json.dumps(kept)


def test_the_command_keeps_and_writes(run, tmp_path, capsys):
    folder, out = tmp_path / "kept", tmp_path / "page.md"
    base = ["reproduction", "--runs-dir", str(run.path.parent), "--folder", str(folder), "--out", str(out)]
    assert main(base) == 2
    assert "use --keep" in capsys.readouterr().err
    assert main([*base, "--keep", run.id]) == 0
    first = out.read_text()
    assert main(base) == 0
    assert out.read_text() == first
    (folder / "bad.json").write_text("{")
    assert main(base) == 2
    assert "not valid JSON" in capsys.readouterr().err
