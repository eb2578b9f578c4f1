"""Decisions whose right answer is known, and what they rest on."""

import dataclasses
import json

import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs
from compat_core.adapters.labels import named_apart
from compat_core.errors import CompatError
from compat_core.reports.decision import storage_note
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.decision import decide, split_of
from compat_core.vectors.given import Candidate, Given
from compat_core.vectors.options import TWO_SPACES
from compat_core.vectors.outcome import recommend, with_costs
from compat_core.vectors.plan import choosable
from compat_core.vectors.studies import studies
from tests.vectors.worlds import better_new, clustered, quick, rotated, unrelated


def test_rotated_copies_are_recovered_in_full_and_nothing_is_recommended():
    decision, evidence = decide(rotated(), quick(pairs=250))
    ceiling, found = (evidence.of(name)[1] for name in ("full backfill", "procrustes old→new"))
    assert found.average_precision == pytest.approx(ceiling.average_precision, abs=1e-6, nan_ok=True)
    assert decision.row("naive swap").gain["mAP"]["ci_high"] < 0
    assert decision.recommended == "" and "does not measurably beat" in decision.reason


def test_where_only_both_models_together_beat_the_old_one_the_reason_says_so():
    rng = np.random.default_rng(4)
    labels, centre = clustered(rng, noise=0.0)
    old, new = (centre + 1.1 * rng.standard_normal(centre.shape).astype(np.float32) for _ in range(2))
    decision, _ = decide(Given(old, new, labels), quick())
    assert decision.recommended == "" and "does not measurably beat the old one" in decision.reason
    assert "What does measurably beat it is slerp (+" in decision.reason


def test_a_gain_that_only_its_own_interval_shows_is_explained():
    rows = list(decide(better_new(), quick())[0].rows)
    place = next(place for place, row in enumerate(rows) if row.name == "full backfill")
    rows[place] = dataclasses.replace(rows[place], adjusted_low=-0.004)
    answer = recommend(rows, "mAP", 0.9, independent=True)
    assert answer.recommended == "" and "it may be as little as −0.4)" in answer.reason
    gain = {"mAP": {"value": 0.01, "ci_low": -0.01, "ci_high": 0.03}}
    rows[place] = dataclasses.replace(rows[place], gain=gain)
    assert "(mAP +1.0 points)" in recommend(rows, "mAP", 0.9, independent=True).reason


@pytest.mark.parametrize("labels", [True, False])
def test_independent_random_vectors_recommend_nothing(labels):
    for seed in range(3):
        decision, _ = decide(unrelated(seed, labels), quick(seed=seed))
        assert decision.recommended == "", decision.reason


def test_a_worse_new_model_is_not_worth_it():
    given = better_new()
    decision, _ = decide(Given(given.new, given.old, given.labels), quick())
    assert decision.recommended == ""
    assert decision.reason.startswith("Keep the old model") and "is worse" in decision.reason
    assert decision.reason.endswith("Were the old and the new file swapped?")


def test_a_better_new_model_is_recommended_with_its_interval_above_zero():
    decision, _ = decide(better_new(), quick())
    row = decision.row(decision.recommended)
    assert row.adjusted_low > 0 and row.gain["mAP"]["ci_low"] >= row.adjusted_low
    assert {"status quo", "naive swap", "full backfill"} <= {row.name for row in decision.rows}
    assert decision.row("full backfill").recovered["mAP"]["value"] == pytest.approx(1.0)
    assert decision.row("status quo").gain["mAP"]["value"] == 0
    assert decision.row("full backfill").won > decision.row("full backfill").lost


def test_without_labels_nothing_is_recommended_and_the_closest_named():
    given = better_new(noise=0.5)
    for old, new in ((given.old, given.new), (given.new, given.old)):  # a worse new model is imitated just as well
        decision, _ = decide(Given(old, new), quick())
        assert "weaker truth" in decision.truth and decision.recommended == ""
        assert decision.closest and not decision.row(decision.closest).backfilled
        kept = f"{100 * decision.row(decision.closest).recovered['mAP']['value']:.0f} % of the way"
        assert decision.reason.startswith("Of the options that embed nothing again") and kept in decision.reason
        assert "labels or relevance judgements" in decision.reason


def test_where_only_backfills_imitate_the_new_model_it_says_so():
    decision, _ = decide(unrelated(labels=False), quick())
    assert decision.row("full backfill").adjusted_low > 0 and decision.closest == ""
    assert decision.reason.startswith("No option that embeds nothing again imitates the new model better")


def test_all_adapters_work_without_labels_or_say_why_not():
    given = better_new()
    decision, _ = decide(Given(given.old, given.new), quick(adapters=(), steps=5))
    assert [(entry.name, entry.reason) for entry in decision.left_out] == [("fastfill", "needs labels of the items")]
    names = {row.name for row in decision.rows}
    assert {f"{one.name} old→new" for one in ADAPTERS if one.name != "fastfill"} <= names


def test_an_adapter_that_refuses_is_left_out_and_the_others_are_judged():
    given = better_new()
    small = Given(given.old[:40], given.new[:40], given.labels[:40])  # 16 pairs to fit on
    decision, _ = decide(small, quick(adapters=("ridge", "fct", "residual-mlp"), steps=5, pairs=15))
    assert {"ridge old→new", "ridge new→old"} <= {row.name for row in decision.rows}
    assert {entry.name for entry in decision.left_out} >= {"fct old→new", "fct new→old"}
    assert all("needs at least 16" in entry.reason for entry in decision.left_out)
    assert not {entry.name for entry in decision.left_out} & {row.name for row in decision.rows}


def test_an_adapter_that_breaks_is_left_out_by_name_and_the_others_are_judged(monkeypatch):
    def solve(parts, config):
        raise IndexError("list index out of range")

    broken = dataclasses.replace(ADAPTERS.get("mean-shift"), solve=solve)
    monkeypatch.setitem(ADAPTERS._entries, "mean-shift", broken)
    decision, _ = decide(better_new(), quick())
    left_out = {one.name: one.reason for one in decision.left_out}
    assert left_out["mean-shift old→new"] == "adapter mean-shift failed: IndexError: list index out of range"
    assert "ridge old→new" in {row.name for row in decision.rows}


def test_part_backfills_come_in_random_order_and_in_the_best_that_can_be_had():
    decision, evidence = decide(better_new(weights=np.ones(500)), quick())
    names = [row.name for row in decision.rows if row.kind == "part backfill"]
    best = evidence.best[0].name
    assert f"{best} + 50 % backfilled (random order)" in names
    orders = {name.partition("(")[2].removesuffix(" order)") for name in names}
    (ordered,) = orders - {"random"}
    assert len(names) == 6 and ordered in {ordering.name for ordering in choosable(("labels", "weights"))}


def test_without_labels_weights_or_doubt_the_order_is_random():
    given = better_new()
    decision, _ = decide(Given(given.old, given.new), quick())
    names = [row.name for row in decision.rows if row.kind == "part backfill"]
    assert len([name for name in names if name.endswith("(random order)")]) == 3
    assert len(names) == (6 if choosable(()) else 3), "and in one that needs none of these, where there is one"


def test_the_ordering_that_helps_is_chosen():
    given, rng = better_new(noise=0.3), np.random.default_rng(0)
    wrong, old, names = rng.random(500) < 0.3, np.array(given.old), np.arange(500).astype(str)
    old[wrong] = rng.permutation(old[wrong])  # looks like the others, belongs to another item
    misled = dataclasses.replace(  # labels that say nothing of what is relevant
        given, old=old, labels=rng.permutation(given.labels), ids=names, judgements=by_label(names, given)
    )
    for weights, popular in ((wrong, True), (~wrong, False)):
        decision, _ = decide(dataclasses.replace(misled, weights=weights), quick())
        assert any("(popularity order)" in row.name for row in decision.rows) == popular


@pytest.mark.parametrize("labels", [True, False])
def test_options_are_told_with_their_number(labels):
    given, told = better_new(), []
    decision, _ = decide(given if labels else Given(given.old, given.new), quick(), told.append)
    assert told[-1].startswith(f"option {len(decision.rows)} of {len(decision.rows)}: ") and len(told) == len(
        decision.rows
    )


def test_the_same_seed_gives_the_same_decision():
    first, second = (decide(better_new(), quick())[0].to_dict() for _ in range(2))
    for found in (first, second):  # what is timed on this machine
        del found["latencies"]
        for row in found["rows"]:
            del row["bill"], row["work"]["mapped_per_s"]
    assert first == second


def test_where_strange_classes_are_judged_choices_are_made_on_classes_nothing_was_fitted_on():
    given = better_new()
    seen = given.labels < np.median(given.labels)
    pairs = Pairs(given.old[seen], given.new[seen], given.labels[seen])
    strange = Given(given.old[~seen], given.new[~seen], given.labels[~seen], fit=pairs)
    split = split_of(strange, quick())
    chosen_by, fitted = set(pairs.labels[split.validate]), set(pairs.labels[split.fit])
    assert len(chosen_by) > 1 and fitted and not chosen_by & fitted
    assert len(split.validate) + len(split.fit) == min(len(pairs), quick().pairs)
    alike = Given(given.old, given.new, given.labels, fit=pairs)
    split = split_of(alike, quick())
    assert set(pairs.labels[split.validate]) & set(pairs.labels[split.fit])


def test_items_without_a_label_are_of_no_class_that_two_files_share():
    given = better_new()
    seen = given.labels < np.median(given.labels)

    def some_unlabelled(chosen):
        known = np.arange(chosen.sum()) % 4 > 0  # rows 0, 4, … have none, in both files
        return named_apart(known, given.labels[chosen][known])

    pairs = Pairs(given.old[seen], given.new[seen], some_unlabelled(seen))
    split = split_of(Given(given.old[~seen], given.new[~seen], some_unlabelled(~seen), fit=pairs), quick())
    assert not set(pairs.labels[split.validate]) & set(pairs.labels[split.fit])


def test_pairs_set_apart_leave_every_item_to_be_judged():
    given = better_new()
    pairs = Pairs(given.old[:300], given.new[:300], given.labels[:300])
    rest = Given(given.old[300:], given.new[300:], given.labels[300:], fit=pairs)
    decision, evidence = decide(rest, quick(judged=1000, queries=1000))
    assert (decision.num_judged, decision.num_queries) == (200, 200)
    assert decision.num_pairs + len(evidence.split.validate) == 300


def test_an_option_made_elsewhere_stands_in_the_same_table():
    given = better_new()
    candidate = Candidate("retrained", given.new, given.new)
    made = Given(given.old, given.new, given.labels, candidates=(candidate,))
    decision, _ = decide(made, quick())
    assert decision.row("retrained").values == decision.row("full backfill").values
    assert decision.row("retrained").bill.gpu_hours >= decision.config.costs.training_gpu_hours


def test_judgements_need_ids_and_too_few_items_are_refused():
    given = better_new()
    with pytest.raises(CompatError, match="ids"):
        decide(Given(given.old, given.new, judgements={"1": {"2": 1.0}}), quick())
    with pytest.raises(CompatError, match="at least 40"):
        decide(Given(given.old[:30], given.new[:30], given.labels[:30]), quick())


def test_too_few_items_to_choose_by_are_called_so_and_not_a_fault_of_the_labels():
    given = better_new()
    with pytest.raises(CompatError, match=r"5 items to choose between maps by.*none of them has a relevant one"):
        decide(Given(given.old[:50], given.new[:50], np.arange(50) % 24), quick())


def by_label(ids, given):
    """Relevance judgements that say what the labels say."""
    return {name: dict.fromkeys(ids[given.labels == label], 1.0) for name, label in zip(ids, given.labels, strict=True)}


def test_judgements_by_id_give_what_labels_give():
    given = better_new()
    ids = np.array([f"item {row}" for row in range(500)])
    by_ids, _ = decide(Given(given.old, given.new, ids=ids, judgements=by_label(ids, given)), quick())
    by_labels, _ = decide(given, quick())
    for row in by_labels.rows:  # choices that rest on the metric agree too
        if "(class" in row.name:  # an ordering that takes labels
            continue
        assert by_ids.row(row.name).values["mAP"] == pytest.approx(row.values["mAP"])


def test_side_information_is_judged_with_and_without():
    given = better_new()
    rng = np.random.default_rng(3)
    lost = np.asarray(given.new) + 0.2 * rng.standard_normal(given.new.shape).astype(np.float32)
    decision, evidence = decide(dataclasses.replace(given, side=lost), quick(adapters=("fct", "ridge"), steps=200))
    without, beside = (
        decision.row(f"fct old→new{more}").values["mAP"]["value"] for more in ("", ", with side-information")
    )
    assert beside > without + 0.05
    assert evidence.best[0].vector_map.side_dim == 8
    assert any(row.name.startswith("fct old→new, with side-information + ") for row in decision.rows)
    looked = studies(given, decision, evidence)
    gain = looked["pair_budget"]["points"][-1]["gain"]
    assert gain == pytest.approx(beside - decision.row("status quo").values["mAP"]["value"])


def test_every_map_is_billed_at_its_own_rate():
    decision, _ = decide(better_new(), quick())
    measured = {one.option: one.rows_per_s for one in decision.latencies}
    for row in decision.rows:
        if row.kind == "migrate":
            assert row.work.mapped_per_s == measured[row.name]
    assert decision.config.costs == CostConfig()
    assert decision.row("full backfill").bill.gigabytes == decision.row("ridge old→new").bill.gigabytes


def test_what_is_stored_is_billed_as_the_files_hold_it():
    given = better_new()
    scale = 127 / np.abs(given.new).max()
    small = Given(given.old.astype(np.float16), np.round(given.new * scale).astype(np.int8), given.labels)
    decision, _ = decide(small, quick(shares=(0.5,)))
    sizes = {"status quo": 2, "full backfill": 3, "ridge old→new": 6, "ridge new→old": 2}  # bytes per number, both kept
    sizes |= {"rank merge by rank, 50 % backfilled": 3, f"{decision.rows[-1].name}": 2}
    for name, size in sizes.items():
        assert decision.row(name).bill.gigabytes == pytest.approx(500 * 8 * size / 1e9)
    said = storage_note(decision.to_dict())
    assert (
        "2 bytes for every number of an old vector and 1 for a new one" in said
        and "4 in a gallery that holds mapped ones" in said
    )


def test_options_that_ask_both_spaces_pay_for_the_second_query():
    decision, _ = decide(better_new(), quick(shares=(0.5,)))
    asked_twice = {row.name for row in decision.rows if row.work.second_query}
    assert asked_twice == {row.name for row in decision.rows if row.kind == TWO_SPACES} >= {"slerp"}
    stored = decision.to_dict()
    busy = with_costs(stored, CostConfig(queries_per_day=1e6))
    for before, after in zip(stored["rows"], busy["rows"], strict=True):
        assert (after["bill"]["money"] > before["bill"]["money"]) == (before["name"] in asked_twice)


def test_slerp_is_left_out_where_lengths_count():
    decision, _ = decide(better_new(), quick(distance="l2"))
    assert [entry.name for entry in decision.left_out] == ["slerp"]
    assert "slerp" not in {row.name for row in decision.rows}


def test_queries_are_drawn_from_the_judged_ones_and_too_few_are_refused():
    given = better_new()
    ids = np.array([f"item {row}" for row in range(500)])
    every = by_label(ids, given)
    some = {name: every[name] for name in ids[:150]}
    decision, evidence = decide(Given(given.old, given.new, ids=ids, judgements=some), quick(judged=250))
    asked = evidence.split.judged[evidence.split.queries]
    assert (asked < 150).all() and decision.num_queries == (evidence.split.judged < 150).sum()
    few = {name: every[name] for name in ids[:8]}
    with pytest.raises(CompatError, match="at least 10 with judgements or a label"):
        decide(Given(given.old, given.new, ids=ids, judgements=few), quick())


def test_items_without_a_label_are_searched_and_ask_nothing():
    given = better_new()
    known = np.arange(500) % 2 == 0
    labels = named_apart(known, given.labels[known])
    decision, evidence = decide(Given(given.old, given.new, labels), quick(judged=250))
    rows = evidence.split.judged
    assert known[rows[evidence.split.queries]].all() and not known[rows].all() and decision.num_skipped == 0
    for place, query in enumerate(evidence.split.queries):
        relevant = evidence.relevance.items[evidence.relevance.start[place] : evidence.relevance.start[place + 1]]
        alike = np.flatnonzero(known[rows] & (given.labels[rows] == given.labels[rows[query]]))
        assert sorted(relevant) == sorted(set(alike) - {query})
    assert not [row.name for row in decision.rows if "class" in row.name], (
        "an order by class would know who has a label"
    )
    few = named_apart(np.arange(500) < 12, given.labels[:12] % 2)
    with pytest.raises(CompatError, match="judge or label more of them"):
        decide(Given(given.old, given.new, few), quick())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "full backfill"}, "every decision has"),
        ({"gallery": np.zeros((500, 3), dtype=np.float32)}, "8 dimensions, gallery rows 3"),
        ({"query": np.full((500, 8), np.nan, dtype=np.float32)}, "NaN"),
        ({"name": "twice"}, "more than once"),
    ],
)
def test_options_made_elsewhere_that_cannot_be_judged_are_refused(changes, says):
    given = better_new()
    made = Candidate(**({"name": "made", "query": given.new, "gallery": given.new} | changes))
    with pytest.raises(CompatError, match=says):
        decide(dataclasses.replace(given, candidates=(made, Candidate("twice", given.new, given.new))), quick())


def test_side_information_that_is_not_finite_is_refused():
    given = better_new()
    with pytest.raises(CompatError, match="side-information: NaN"):
        decide(dataclasses.replace(given, side=np.full((500, 2), np.nan)), quick())


def test_of_too_few_queries_nothing_is_said_with_certainty():
    given = better_new()
    labels = np.arange(500) + 100
    labels[np.random.default_rng(2).permutation(500)[:40]] = 0  # all others have nothing relevant to find
    decision, _ = decide(Given(given.old, given.new, labels), quick(queries=40))
    assert 0 < decision.num_queries < 10
    assert decision.recommended == "" and "too few" in decision.reason
    row = decision.row("full backfill")
    assert row.gain["mAP"]["ci_low"] is None and row.adjusted_low == 0
    json.dumps(decision.to_dict(), allow_nan=False)
