"""Verdicts over seeds, and sentences that do not flatter."""

import pytest

from compat_core.reports.verdicts import (
    COMPATIBLE,
    MIXED,
    NOT_COMPATIBLE,
    NOT_TESTED,
    UNDECIDED,
    claims_sentences,
    pooled_verdict,
    seed_verdict,
    verdict_table,
    verdicts_from_rows,
)
from tests.reports.sample import sample_results


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.01, 0.02, COMPATIBLE), (-0.01, 0.02, UNDECIDED), (-0.02, 0.0, NOT_COMPATIBLE), (0.0, 0.1, UNDECIDED),
     (None, None, NOT_TESTED), (float("nan"), 0.1, NOT_TESTED)],
)  # fmt: skip
def test_seed_verdict(low, high, word):
    assert seed_verdict(low, high) == word


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [([COMPATIBLE] * 3, COMPATIBLE), ([NOT_COMPATIBLE] * 2, NOT_COMPATIBLE), ([COMPATIBLE, NOT_COMPATIBLE], MIXED),
     ([COMPATIBLE, UNDECIDED], MIXED), ([UNDECIDED] * 2, MIXED), ([UNDECIDED], UNDECIDED), ([COMPATIBLE], COMPATIBLE),
     ([], NOT_TESTED), ([COMPATIBLE, NOT_TESTED], COMPATIBLE)],
)  # fmt: skip
def test_pooled_verdict(outcomes, word):
    assert pooled_verdict(outcomes) == word


def test_verdict_table_counts_seeds():
    results = sample_results()
    results["verdicts"][-1] |= {"outcome": UNDECIDED}  # fct, seed 1, CMC@1
    table = verdict_table(results).set_index(["method", "metric"])
    assert table.loc[("fct", "mAP"), "verdict"] == COMPATIBLE
    assert table.loc[("independent", "mAP"), "verdict"] == NOT_COMPATIBLE
    mixed = table.loc[("fct", "CMC@1")]
    assert (mixed["verdict"], mixed["seeds"], mixed[COMPATIBLE], mixed[UNDECIDED]) == (MIXED, 2, 1, 1)
    assert table.loc[("fct", "mAP"), "difference"] == pytest.approx(0.268)
    assert len(verdict_table([results, sample_results("other")])) == 8
    assert verdict_table({"verdicts": []}).empty


def test_verdicts_from_rows_agree_with_the_stored_ones():
    results = sample_results()
    stored = {(v["method"], v["seed"], v["metric"]): v["outcome"] for v in results["verdicts"]}
    read = {(v["method"], v["seed"], v["metric"]): v["outcome"] for v in verdicts_from_rows(results["rows"])}
    assert read == stored


def test_sentences_of_one_seed():
    naive, fct = claims_sentences(sample_results(seeds=(0,)))
    assert fct == (
        "fct: compatible (mAP 85.2 % against the status quo 58.4 %, +26.8 points, 95 % interval 25.2…28.3, chance "
        "10.0 %); recovers 80 % of the gain; costs the new model nothing; at rank 1, 2.0 % of the queries turn wrong "
        "and 21.0 % turn right."
    )
    assert naive.startswith(
        "independent (naive swap): not compatible; it does not reach the status quo here (mAP 3.1 %"
    )
    assert "recovers none of the gain" in naive


def _change(results, metric, **values):
    for row in results["rows"]:
        if row["method"] == "fct" and row["metric"] == metric:
            row |= values
    return claims_sentences(results)[1]


def test_sentences_of_costs():
    cost = "cost_to_new(mAP)"
    costly = _change(sample_results(), cost, value=0.021, ci_low=0.01, ci_high=0.03)
    assert "; costs the new model 2.1 points;" in costly
    unclear = _change(sample_results(), cost, value=0.001, ci_low=-0.01, ci_high=0.01)
    assert "; what it costs the new model, +0.1 points, cannot be told from zero;" in unclear
    above = _change(sample_results(), cost, value=-0.011, ci_low=-0.03, ci_high=0.01)
    assert "; its new model is 1.1 points above the paragon, which cannot be told from zero;" in above
    gaining = _change(sample_results(), cost, value=-0.02, ci_low=-0.03, ci_high=-0.01)
    assert "; its new model is 2.0 points above the paragon;" in gaining


def test_sentences_of_several_seeds_and_failures():
    results = sample_results()
    assert "95 % intervals of 2 seeds span 25.2…28.3" in claims_sentences(results)[1]
    for verdict in results["verdicts"]:
        if verdict["method"] == "fct" and verdict["seed"] == 1:
            verdict["outcome"] = UNDECIDED
    assert claims_sentences(results)[1].startswith("fct: mixed/undecided over 2 seeds, 1 compatible, 1 undecided (")
    assert _change({**results, "verdicts": []}, "x").startswith("fct: compatibility in mAP was not tested (")
    weak = _change(sample_results(), "mAP", value=0.5)
    assert "there is no gain to recover, the paragon has 50.0 %" in weak
    assert claims_sentences([sample_results("a"), sample_results("b")])[3].startswith("b: fct: compatible")
