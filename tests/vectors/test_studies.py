"""The closer look: groups that get worse, pair budget, backfill plan, thresholds, latency."""

import numpy as np
import pytest
import torch

from compat_core.adapters import ADAPTERS
from compat_core.metrics import evaluate_retrieval
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.vectors import options as ways
from compat_core.vectors.decision import decide
from compat_core.vectors.deployment import map_latency, threshold_shifts
from compat_core.vectors.given import Given
from compat_core.vectors.harm import age_groups, changes_under, group_changes
from compat_core.vectors.judge import Judged
from compat_core.vectors.pair_budget import budget_sizes, pairs_wanted
from compat_core.vectors.studies import per_query, studies
from tests.vectors.worlds import better_new, quick


@pytest.fixture(scope="module")
def decided():
    given = better_new(ages=np.arange(500), weights=np.arange(500)[::-1], groups={"shop": np.arange(500) % 3})
    return given, *decide(given, quick())


@pytest.fixture(scope="module")
def found(decided):
    return studies(*decided)


def judged(precision, top_1):
    return Judged(np.array(precision), np.array(top_1, dtype=float), np.zeros(len(top_1), dtype=int))


# -- who gets worse ----------------------------------------------------------------------------------------------------


def test_groups_by_hand_worst_first():
    before = judged([1.0, 1.0, 0.5, np.nan, 0.2] * 5, [1, 1, 0, np.nan, 0] * 5)
    after = judged([0.5, 0.1, 0.9, np.nan, 0.4] * 5, [0, 1, 1, np.nan, 0] * 5)
    worse, better = group_changes({"class": np.array(["a", "a", "b", "a", "b"] * 5)}, before, after)
    assert (worse.group, worse.num_queries, worse.lost, worse.won) == ("a", 10, 0.5, 0.0)
    assert (worse.before, worse.after, worse.change) == pytest.approx((1.0, 0.5, -0.7))
    assert (better.group, better.lost, better.won, better.change) == ("b", 0.0, 0.5, pytest.approx(0.3))
    assert worse.worse and not better.worse


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_queries_give_no_interval(count):
    groups, ones, zeros = np.array(["a"] * count), [1.0] * count, [0.0] * count
    (only,) = group_changes({"class": groups}, judged(ones, ones), judged(zeros, zeros))
    assert only.change == -1 and only.ci_low is None and not only.worse


def test_groups_that_do_not_change_are_seldom_called_worse():
    """Of small groups as of larger ones: an interval of two queries leaves zero out half of the time."""
    rng = np.random.default_rng(0)
    sizes = np.repeat([2, 3, 5, 10, 20], 100)
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(str)
    before, after = (judged(rng.random(len(groups)), np.zeros(len(groups))) for _ in range(2))
    found = group_changes({"class": groups}, before, after, resamples=500)
    assert len(found) == len(sizes) and 0 < sum(change.worse for change in found) < 0.05 * len(found)


def test_ages_in_fifths():
    groups = age_groups(np.arange(100))
    names, counts = np.unique(groups, return_counts=True)
    assert counts.tolist() == [20] * 5
    assert groups[0] == names[0] == "1 of 5, oldest: 0 … 19" and groups[-1] == "5 of 5, newest: 80 … 99"


def test_dates_in_fifths_are_dates_and_equal_ages_stay_together():
    days = np.datetime64("2024-02-28") + np.arange(10)
    groups = age_groups(days.astype("datetime64[s]"))
    assert groups[0] == groups[1] == "1 of 5, oldest: 2024-02-28 … 2024-02-29"
    assert set(age_groups(np.full(10, days[0]))) == {"5 of 5, newest: 2024-02-28"}


def test_groupings_are_class_own_columns_and_age(found, decided):
    assert {entry["grouping"] for entry in found["harm"]} == {"class", "shop", "age"}
    for grouping in ("class", "shop", "age"):
        entries = [entry for entry in found["harm"] if entry["grouping"] == grouping]
        assert sum(entry["num_queries"] for entry in entries) == decided[1].num_queries
        lost = sum(entry["lost"] * entry["num_queries"] for entry in entries) / decided[1].num_queries
        assert lost == pytest.approx(decided[1].row(found["looked_at"]).lost)


# -- pair budget -------------------------------------------------------------------------------------------------------


def test_sizes_double_up_to_all_pairs():
    assert budget_sizes(300, 2) == [37, 75, 150, 300]
    assert budget_sizes(20, 2) == [20]


def test_pairs_wanted_follows_the_power_law():
    sizes = np.array([64, 128, 256, 512, 1024])
    values = 0.8 - 2.0 * sizes**-0.5
    assert pairs_wanted(sizes, values) == pytest.approx((2.0 / 0.005) ** 2, rel=0.05)
    assert pairs_wanted(sizes, 0.8 + 0 * values) is None or pairs_wanted(sizes, 0.8 + 0 * values) >= 0
    assert pairs_wanted(sizes[:3], values[:3]) is None


def test_last_point_of_the_budget_is_the_option_itself(found, decided):
    budget = found["pair_budget"]
    best = decided[2].best[0].name
    assert budget["points"][-1]["gain"] == pytest.approx(decided[1].row(best).gain["mAP"]["value"])
    assert budget["points"][-1]["pairs"] == decided[1].num_pairs
    assert [point["pairs"] for point in budget["points"]] == sorted(point["pairs"] for point in budget["points"])


# -- backfill plan -----------------------------------------------------------------------------------------------------


def test_plan_begins_at_the_map_and_ends_at_the_full_backfill(found, decided):
    rows = {name: decided[1].row(name).values["mAP"]["value"] for name in (found["plan_map"], "full backfill")}
    drawn = {ordering.name for ordering in ORDERINGS if ordering.drawable(("labels", "weights", "gallery_new"))}
    assert {entry["order"] for entry in found["plan"]} == drawn
    for entry in found["plan"]:
        assert (entry["shares"][0], entry["shares"][-1]) == (0.0, 1.0)
        assert entry["values"][0] == pytest.approx(rows[found["plan_map"]])
        assert entry["values"][-1] == pytest.approx(rows["full backfill"])
        assert entry["auc"] == pytest.approx(np.mean(entry["values"]))
        for need in entry["needed"].values():
            assert need["ci_low"] <= need["value"] <= need["ci_high"]


# -- deployment --------------------------------------------------------------------------------------------------------


def test_thresholds_keep_the_share_of_false_accepts(decided):
    _, _, evidence = decided
    options = [option for option, _ in evidence.judged]
    base, *others = threshold_shifts(options, evidence.relevance)
    assert base.option == "status quo" and base.false_accepts <= 1e-3
    assert base.recalibrated == pytest.approx(base.threshold)
    for shift in others:
        option = evidence.of(shift.option)[0]
        scores = option.scorer.public(np.arange(len(evidence.relevance))).numpy()
        wrong = np.ones(scores.shape, dtype=bool)
        rows = np.repeat(np.arange(len(scores)), evidence.relevance.counts)
        wrong[rows, evidence.relevance.items] = False
        wrong[np.arange(len(scores)), evidence.relevance.itself] = False
        accepted = (scores[wrong] >= shift.recalibrated).mean()
        assert base.false_accepts - 2 / wrong.sum() <= accepted <= base.false_accepts
        assert (scores[wrong] >= shift.threshold).mean() == pytest.approx(shift.false_accepts)


def test_the_status_quo_recalibrated_to_itself_accepts_as_many_wrong_pairs(decided):
    """However their share rounds: in floating point 1/49 of 49 is less than 1."""
    _, _, evidence = decided
    base, relevance = evidence.of("status quo")[0], evidence.relevance
    scores = base.scorer.public(np.arange(len(relevance))).numpy()
    wrong = np.ones(scores.shape, dtype=bool)
    wrong[np.repeat(np.arange(len(scores)), relevance.counts), relevance.items] = False
    wrong[np.arange(len(scores)), relevance.itself] = False
    for given in np.sort(scores[wrong])[-400::4]:
        (shift,) = threshold_shifts([base], relevance, float(given))
        assert (scores[wrong] >= shift.recalibrated).sum() == (scores[wrong] >= given).sum()
        assert shift.true_accepts_recalibrated >= shift.true_accepts


def test_too_few_wrong_pairs_give_no_threshold(decided):
    given = better_new()
    small = Given(given.old[:60], given.new[:60], given.labels[:60])
    _, evidence = decide(small, quick())
    assert threshold_shifts([option for option, _ in evidence.judged], evidence.relevance) == []


def test_indexes_are_judged_against_the_exact_search(found, decided):
    pytest.importorskip("faiss", reason="faiss is not installed")
    effects = {(effect["option"], effect["index"]): effect for effect in found["indexes"]}
    for name in ("status quo", "full backfill", found["looked_at"]):
        exact = effects[name, "exact"]
        assert exact["recall"] == 1.0 and exact["top_1"] == exact["top_1_exact"]
        assert exact["top_1"] == pytest.approx(decided[1].row(name).values["CMC@1"]["value"])
        assert effects[name, "hnsw"]["recall"] > 0.95
    assert any("needs at least" in reason for reason in found["indexes_left_out"]) or (
        ("status quo", "ivf-pq") in effects
    )


def test_latency_is_of_single_vectors():
    given = better_new()
    fitted = ADAPTERS.get("ridge").fit(_pairs(given))
    found = map_latency("ridge", fitted, torch.tensor(given.old), rounds=20)
    assert 0 < found.p50_ms <= found.p99_ms and found.rows_per_s > 0


def _pairs(given):
    from compat_core.adapters import Pairs

    return Pairs(given.old, given.new)


# -- query by query ----------------------------------------------------------------------------------------------------


def test_per_query_arrays_name_rows_of_the_given_items(decided):
    given, decision, evidence = decided
    arrays = per_query(given, evidence)
    place = arrays["options"].tolist().index("full backfill")
    right = given.labels[arrays["first_item"][place]] == given.labels[arrays["queries"]]
    np.testing.assert_array_equal(right, arrays["top_1"][place] == 1)
    assert set(arrays["queries"]) <= set(arrays["judged"])
    valid = ~np.isnan(arrays["average_precision"][place])
    mean = arrays["average_precision"][place][valid].mean()
    assert mean == pytest.approx(decision.row("full backfill").values["mAP"]["value"], abs=1e-6)


def test_what_is_stored_tells_who_gets_worse_under_any_option(found, decided):
    given, decision, evidence = decided
    arrays = per_query(given, evidence)
    again = changes_under(arrays, found["looked_at"])
    assert [(entry.grouping, entry.group) for entry in again] == [(e["grouping"], e["group"]) for e in found["harm"]]
    assert [e.change for e in again] == pytest.approx([e["change"] for e in found["harm"]], abs=1e-6)
    assert not any(entry.change for entry in changes_under(arrays, "status quo"))
    ceiling = [entry for entry in changes_under(arrays, "full backfill") if entry.grouping == "class"]
    lost = sum(entry.lost * entry.num_queries for entry in ceiling) / decision.num_queries
    assert lost == pytest.approx(decision.row("full backfill").lost)


def test_uncertain_maps_add_the_sigma_ordering():
    given = better_new()
    decision, evidence = decide(
        given, quick(adapters=("fastfill",), steps=100, pairs=120, judged=100, queries=50, shares=())
    )
    assert "sigma" in {entry["order"] for entry in studies(given, decision, evidence)["plan"]}


def test_options_of_the_plan_agree_with_the_retrieval_metrics(decided):
    given, decision, evidence = decided
    rows, queries = evidence.split.judged, evidence.split.judged[evidence.split.queries]
    mapped = ways.mapped_rows(evidence.best[0].vector_map, evidence.judging.old).numpy()
    scores = evaluate_retrieval(
        given.new[queries], given.labels[queries], mapped, given.labels[rows], queries, rows, device="cpu"
    )
    assert decision.row(evidence.best[0].name).values["mAP"]["value"] == pytest.approx(scores.mean_ap, abs=1e-9)
