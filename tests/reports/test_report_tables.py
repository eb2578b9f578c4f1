"""Tidy rows through every format and back, readable tables, deltas and config differences."""

import io
import json
import math

import pandas as pd
import pytest

from compat_core.errors import CompatError
from compat_core.reports.chains import AC_NOTE
from compat_core.reports.tables import (
    COLUMNS,
    EXTENSION,
    FORMATS,
    MIME,
    aggregate,
    baseline_deltas,
    config_diff,
    frame_to_format,
    latex_escape,
    markdown_escape,
    matrix_table,
    per_class_table,
    result_rows,
    results_to_format,
    rows_frame,
    summary_table,
    to_format,
)
from tests.reports.sample import sample_results

DERIVED = ("gain", "update_gain", "recovered_gain", "naive_gain", "cost_to_new")
NASTY = r"a_b%c&d#e$f{g}\h~i^j<k>"


def _undecided(rows):
    """The rows with an interval around zero for one seed of fct."""
    around_zero = {"ci_low": -0.1, "ci_high": 0.1}
    chosen = ("fct", 0, "gain(mAP)")
    return [{**row, **(around_zero if (row["method"], row["seed"], row["metric"]) == chosen else {})} for row in rows]


@pytest.fixture
def rows():
    return sample_results()["rows"]


def _methods(names):
    return sample_results(methods=names)["rows"]


def test_columns_are_exact(rows):
    frame = rows_frame(rows)
    assert tuple(frame.columns) == COLUMNS
    assert tuple(rows_frame([]).columns) == COLUMNS
    assert tuple(rows_frame([{**rows[0], "extra": 1}]).columns) == (*COLUMNS, "extra")


def test_row_without_a_column_is_refused(rows):
    broken = {key: value for key, value in rows[1].items() if key != "cell"}
    for form in FORMATS:
        with pytest.raises(CompatError, match=r"result row 1.*lacks cell"):
            to_format([rows[0], broken], form)


def test_csv_and_parquet_round_trip(rows):
    rows[0]["method"] = 'comma, "quote"\nline'
    rows[0]["value"] = 1 / 3
    frame = rows_frame(rows)
    assert repr(1 / 3).encode() in to_format(rows, "csv")  # every digit
    back = pd.read_csv(io.BytesIO(to_format(rows, "csv")))
    pd.testing.assert_frame_equal(back.astype(frame.dtypes), frame)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(to_format(rows, "parquet"))).astype(frame.dtypes), frame)


def test_json_is_exactly_the_rows(rows):
    assert json.loads(to_format(rows, "json")) == rows
    rows[0]["value"] = math.nan  # not JSON: becomes null, never the word NaN
    assert json.loads(to_format(rows, "json"))[0]["value"] is None


def test_unknown_format_suggests(rows):
    for call in (lambda: to_format(rows, "latx"), lambda: frame_to_format(pd.DataFrame(), "latx")):
        with pytest.raises(CompatError, match="did you mean 'latex'"):
            call()
    assert set(MIME) == set(EXTENSION) == set(FORMATS)
    assert EXTENSION["latex"] == ".tex"


def test_result_rows_fill_in_run_and_data_set():
    results = sample_results("r1")
    bare = {
        **results,
        "rows": [{k: v for k, v in row.items() if k not in ("run", "dataset")} for row in results["rows"]],
    }
    assert rows_frame(result_rows(bare)).equals(rows_frame(results["rows"]))


def test_aggregate_over_seeds(rows):
    table = aggregate(rows).set_index(["method", "cell", "metric"])
    line = table.loc[("fct", "new/migrated", "mAP")]
    assert line["n"] == 2
    assert line["mean"] == pytest.approx(0.854)
    assert line["std"] == pytest.approx(0.004 / math.sqrt(2))
    assert math.isnan(line["ci_low"])
    null = table.loc[("independent", "new/migrated", "update_gain(mAP)")]
    assert null["n"] == 0
    assert math.isnan(null["mean"])
    single = aggregate(sample_results(seeds=(0,))["rows"]).set_index(["method", "cell", "metric"])
    line = single.loc[("fct", "old/old", "mAP")]
    assert (line["ci_low"], line["ci_high"]) == pytest.approx((0.564, 0.604))
    assert math.isnan(line["std"])


def test_matrix_table(rows):
    table = matrix_table(rows, "mAP").set_index("method")
    assert list(table.columns[2:]) == ["old/old", "new/old", "new/migrated", "new/new", "paragon", "n"]
    assert table.loc["fct", "new/migrated"] == "85.4 ± 0.3"
    assert table.loc["fct", "n"] == "2"
    partial = [row for row in rows if (row["cell"], row["seed"]) != ("new/migrated", 1)]
    assert matrix_table(partial, "mAP").set_index("method").loc["fct", "n"] == "1–2"
    gain = matrix_table(rows, "recovered_gain(mAP)").set_index("method")
    assert gain.loc["independent", "new/migrated"] == "−164.1 ± 0.0"
    with pytest.raises(CompatError, match="did you mean 'mAP'"):
        matrix_table(rows, "mapp")
    with pytest.raises(CompatError, match="there are none"):
        matrix_table([], "mAP")


def test_summary_table_is_numeric(rows):
    table = summary_table(rows).set_index("method")
    assert table.loc["fct", "seeds"] == 2
    assert table.loc["fct", "mAP new/migrated"] == pytest.approx(0.854)
    assert "CMC@1 paragon std" in table.columns
    assert len(table) == 2


def test_markdown_shape(rows):
    text = to_format(rows, "md").decode()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2  # mAP and CMC@1
    for lines in tables:
        assert len(lines) == 2 + 2  # header, rule, one line per method
        assert len({line.count("|") for line in lines}) == 1
    assert "mAP (%) ↑" in text
    assert "**85.4 ± 0.3**" in text
    assert "✓ compatible" in text
    assert "✗ not compatible" in text


def test_markdown_escapes_pipes_and_html():
    text = to_format(_methods(("a|b<script>", "fct_x")), "md").decode()
    assert r"a\|b&lt;script&gt;" in text
    assert "<script>" not in text
    assert markdown_escape("a_b\n*c* $x$") == r"a\_b \*c\* \$x\$"


def test_latex_escapes_all_special_characters():
    assert latex_escape(NASTY) == (
        r"a\_b\%c\&d\#e\$f\{g\}\textbackslash{}h\textasciitilde{}i\textasciicircum{}j\textless{}k\textgreater{}"
    )
    text = to_format([{**row, "run": NASTY} for row in _methods((NASTY, "fct"))], "latex").decode()
    assert text.count(latex_escape(NASTY)) == 3  # once per metric, once in the caption
    assert NASTY not in text


def test_latex_names_cannot_leave_row_or_comment():
    text = to_format(_methods(("[2cm]evil\n\\input{x}", "fct")), "latex").decode()
    assert r"\input{" not in text
    assert "{[}2cm{]}evil " in text
    assert frame_to_format(pd.DataFrame({"a": ["x\n% y"]}), "latex").decode().count("\n    x \\% y \\\\\n") == 1


def test_latex_table(rows):
    text = to_format(rows, "latex").decode()
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"$\uparrow$", r"cost $\downarrow$", r"mAP (\%)"):
        assert part in text
    assert r"\textbf{85.4 $\pm$ 0.3}" in text
    assert r"\textbf{58.6" not in text  # the status quo is the same for all: nothing to single out
    assert r"\textbf{3.3" not in text
    body = [line for line in text.splitlines() if line.startswith("    ") and " & " in line]
    assert len({line.replace(r"\&", "").count("&") for line in body}) == 1
    assert text.count(r"\begin{table}") == 1
    assert "& mixed/undecided" in to_format(_undecided(rows), "latex").decode()
    assert text.isascii()


def test_bold_for_what_is_recovered_goes_to_the_best_that_is_compatible(rows):
    migrated = ("new/migrated", "mAP")  # of a gain of 33.7 points
    better = [
        {**row, "method": "leaps", "value": row["value"] + 0.05 * 0.337 * ((row["cell"], row["metric"]) == migrated)}
        for row in rows
        if row["method"] == "fct"
    ]
    results = {**sample_results(), "rows": [*rows, *better]}
    for outcome, bold in (("compatible", "84.5"), ("undecided", "79.5")):
        told = [{**one, "method": "leaps", "outcome": outcome} for one in results["verdicts"] if one["method"] == "fct"]
        text = results_to_format({**results, "verdicts": [*results["verdicts"], *told]}, "md", metrics=["mAP"]).decode()
        recovered = [line.split(" | ")[6] for line in text.splitlines() if line.startswith("| ")][2:]
        assert [cell[2:6] for cell in recovered if cell.startswith("**")] == [bold], outcome
    none = [{**one, "outcome": "not compatible"} for one in results["verdicts"]]
    text = results_to_format({**results, "verdicts": none}, "md", metrics=["mAP"]).decode()
    assert not any(line.split(" | ")[6].startswith("**") for line in text.splitlines() if line.startswith("| "))


def test_runs_are_shown_with_their_own_verdicts(rows):
    told = [{**one, "outcome": "undecided"} for one in sample_results()["verdicts"]]
    assert "? mixed/undecided" in results_to_format({**sample_results(), "verdicts": told}, "md").decode()


def test_some_metrics_keep_what_derives_from_them(rows):
    kept = {row["metric"] for row in json.loads(results_to_format(sample_results(), "json", metrics=["mAP"]))}
    assert kept == {"mAP", *(f"{name}(mAP)" for name in DERIVED)}
    assert json.loads(results_to_format(sample_results(), "json")) == rows
    text = results_to_format(sample_results(), "md", metrics=["CMC@1"]).decode()
    assert "CMC@1 (%) ↑" in text and "mAP (%)" not in text
    with pytest.raises(CompatError, match="'CMC@5'; not measured in demo"):
        results_to_format(sample_results(), "csv", metrics=["CMC@5"])


def _chain(run, shares):
    """A chain of two versions: AC by method, one per seed."""
    row = sample_results()["rows"][0]
    told = [(method, seed, share) for method, given in shares.items() for seed, share in enumerate(given)]
    rows = [
        {**row, "run": run, "method": method, "seed": seed, "cell": cell, "metric": "mAP", "value": 0.5}
        for method, seed, _ in told
        for cell in ("v1/v1", "v2/v1")
    ]
    chain = [{"method": method, "seed": seed, "metric": "mAP", "AC": share} for method, seed, share in told]
    return {"run": run, "dataset": "digits", "rows": rows, "chain": chain, "verdicts": []}


def test_a_chain_answers_with_the_share_of_its_pairs_in_every_format_for_readers():
    chain = _chain("chain", {"bct-sys": (1.0, 0.0), "lce": (1.0, 1.0)})
    text = results_to_format(chain, "md", metrics=["mAP"]).decode()
    assert "| method | v1/v1 | v2/v1 | AC ↑ | seeds |" in text
    assert "| bct-sys | 50.0 ± 0.0 | 50.0 ± 0.0 | 50.0 ± 70.7 | 2 |" in text
    assert "| **100.0 ± 0.0** | 2 |" in text
    assert "not tested" not in text and AC_NOTE in text
    assert r"bct-sys & 50.0 $\pm$ 0.0 & 50.0 $\pm$ 0.0 & 50.0 $\pm$ 70.7 & 2 \\" in (
        results_to_format(chain, "latex", metrics=["mAP"]).decode()
    )


def test_a_chain_beside_an_upgrade_has_no_verdict_and_the_upgrade_no_share():
    both = [sample_results(), _chain("chain", {"lce": (1.0,)})]
    lines = results_to_format(both, "md", metrics=["mAP"]).decode().splitlines()
    assert next(line for line in lines if line.startswith("| chain")).endswith("| 100.0 | 1 | – |")
    assert next(line for line in lines if line.startswith("| demo | fct")).endswith("| – | 2 | ✓ compatible |")


def test_several_runs_get_a_column(rows):
    text = to_format([*rows, *sample_results("other")["rows"]], "md").decode()
    assert "| run | method |" in text
    assert "| other | fct |" in text


def test_runs_of_unlike_numbers_of_queries_are_not_compared(rows):
    fewer = [
        row | {"run": "few", "num_queries": 60, "value": None if row["value"] is None else row["value"] + 0.01}
        for row in rows
    ]
    text = to_format([*rows, *fewer], "md", metrics=("mAP",)).decode()
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert lines[0][1] == "queries" and [line[1] for line in lines[2:]] == ["450", "450", "60", "60"]
    column = lines[0].index("new/migrated")
    assert [line[2] for line in lines[2:] if line[column].startswith("**")] == ["fct", "fct"]  # one of each number
    assert "queries" not in to_format(rows, "md").decode()
    trials = [row | {"metric": "TAR@FAR=0.01"} for row in [*rows, *(few | {"num_queries": 450} for few in fewer)]
              if row["metric"] == "mAP"]  # fmt: skip
    assert "queries" not in to_format(trials, "md", metrics=("TAR@FAR=0.01",)).decode()
    unlike = [row | {"num_queries": 228 if row["run"] == "few" else 451} for row in trials]
    assert "| queries |" in to_format(unlike, "md", metrics=("TAR@FAR=0.01",)).decode()


def test_frame_to_format_shows_percent_bold_and_arrows():
    frame = pd.DataFrame(
        {"class": ["eight", "zero"], "mAP": [0.123456, 0.9], "t_ms": [12.34567, 3.0], "ok": [True, False]}
    )
    text = frame_to_format(frame, "latex", "50 % of_it", percent=["mAP"], best={"mAP": True, "t_ms": False}).decode()
    assert r"class & mAP (\%) $\uparrow$ & t\_ms $\downarrow$ & ok \\" in text
    assert r"eight & 12.3 & 12.35 & yes \\" in text
    assert r"zero & \textbf{90.0} & \textbf{3} & no \\" in text
    assert r"\caption{50 \% of\_it}" in text
    assert json.loads(frame_to_format(frame, "json")) == frame.to_dict("records")
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(frame_to_format(frame, "csv"))), frame, check_dtype=False)


def test_frame_to_format_parquet_with_mixed_values():
    frame = pd.DataFrame({"key": ["a", "b"], "value": [1, "x"]}, dtype=object)
    back = pd.read_parquet(io.BytesIO(frame_to_format(frame, "parquet")))
    assert back["value"].tolist() == ["1", "x"]


def test_per_class_table_is_worst_first():
    table = per_class_table(sample_results())
    fct = table[table["method"] == "fct"]
    assert fct["class"].tolist() == ["eight", "zero"]
    assert fct["change"].tolist() == pytest.approx([0.268, 0.268])
    assert list(per_class_table(sample_results(), cell="old/old").columns)[-1] == "old/old"
    assert per_class_table({**sample_results(), "per_class": []}).empty
    with pytest.raises(CompatError, match=r"did you mean 'CMC@1'"):
        per_class_table(sample_results(), "CMC1")


def test_baseline_deltas(rows):
    better = [{**row, "run": "b", "value": None if row["value"] is None else row["value"] + 0.1} for row in rows]
    new_method = {**rows[0], "run": "b", "method": "lce"}
    table = baseline_deltas({"demo": rows, "b": [*better, new_method]}, "demo")
    assert set(table["run"]) == {"b"}
    line = table[(table["method"] == "fct") & (table["cell"] == "new/migrated") & (table["metric"] == "mAP")].iloc[0]
    assert (line["delta"], line["baseline"], line["baseline_n"]) == pytest.approx((0.1, 0.854, 2))
    alone = table[table["method"] == "lce"].iloc[0]
    assert math.isnan(alone["delta"])
    assert alone["baseline_n"] == 0
    assert baseline_deltas({"demo": rows}, "demo").empty
    with pytest.raises(CompatError, match="did you mean 'demo'"):
        baseline_deltas({"demo": rows}, "demos")


def test_config_diff_shows_only_what_differs():
    fct = {"name": "fct", "params": {"side": "simclr"}}
    a = {"seeds": [0], "new": {"train": {"epochs": 10, "lr": 0.1}}, "methods": [fct], "title": ""}
    b = {
        "seeds": [0, 1],
        "new": {"train": {"epochs": 20, "lr": 0.1}},
        "methods": [{**fct, "alias": "mine"}],
        "title": "",
    }
    table = config_diff({"a": a, "b": b}).set_index("key")
    assert table.to_dict("index") == {
        "seeds": {"a": "0", "b": "0, 1"},
        "new.train.epochs": {"a": "10", "b": "20"},
        "methods": {"a": "fct:side=simclr", "b": "fct:side=simclr,as=mine"},
    }
    assert config_diff({"a": a, "b": a}).empty
    assert config_diff({"a": {"x": 1}, "b": {}}).to_dict("records") == [{"key": "x", "a": "1", "b": "–"}]


@pytest.mark.parametrize("format", ["md", "latex"])
def test_a_mean_over_fewer_seeds_says_so_and_is_not_the_best(format):
    whole = sample_results(methods=("independent", "fct", "other"))["rows"]
    more = {("fct", 0): 0.05, ("fct", 1): math.nan, ("other", 0): 0.01, ("other", 1): 0.01}
    rows = [
        row | {"value": row["value"] + more.get((row["method"], row["seed"]), 0.0)}
        if (row["cell"], row["metric"]) == ("paragon", "mAP")
        else row
        for row in whole
    ]
    text = to_format(rows, format, metrics=("mAP",)).decode()
    fct, other = (next(line for line in text.splitlines() if f"{name} " in line) for name in ("fct", "other"))
    shown = "97.1 (1 of 2 seeds)"
    assert shown in fct and "of 2 seeds" not in other
    bold = "**93.3" if format == "md" else r"\textbf{93.3"
    assert bold in other and "97.1" in fct.replace(r"\textbf{97.1", "").replace("**97.1", "")
