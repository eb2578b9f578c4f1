"""A decision as tables, figures and a page that loads nothing."""

import copy
import json
import re
from html import escape

import numpy as np
import pytest

from compat_core.reports.decision import (
    decision_page,
    facts,
    headline,
    left_out,
    option_table,
    rollback,
    shown_table,
)
from compat_core.reports.decision_studies import budget_sentence, harm_table, plan_figure, plan_table, threshold_table
from compat_core.reports.frames import amount_text
from compat_core.reports.trade_off import short_name, trade_off_figure, worth_naming
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.decision import decide
from compat_core.vectors.given import Given
from compat_core.vectors.outcome import with_costs
from compat_core.vectors.studies import studies
from tests.vectors.worlds import better_new, quick, unrelated


def document(given):
    decision, evidence = decide(given, quick())
    found = {"decision": decision.to_dict(), "studies": studies(given, decision, evidence)}
    return json.loads(
        json.dumps(found | {"inputs": {"old": {"file": "<b>old</b>.npy"}}, "environment": {"python": "3"}})
    )


@pytest.fixture(scope="module")
def found():
    return document(better_new())


def test_table_has_references_first_is_sorted_by_gain_and_marks_the_recommended_option(found):
    table = option_table(found["decision"])
    assert table["option"].tolist()[:3] == ["status quo", "naive swap", "full backfill"]
    assert table["gain"][3:].is_monotonic_decreasing and len(table) == len(found["decision"]["rows"])
    assert table.loc[table["recommended"], "option"].tolist() == [found["decision"]["recommended"]]
    shown = shown_table(found["decision"])
    assert shown.loc[shown[""] == "→", "option"].tolist() == [found["decision"]["recommended"]]
    assert shown.loc[shown["option"] == "status quo", "gain, points (95 %)"].item() == "0.0 (0.0 … 0.0)"


def test_the_recommendation_has_its_bill_at_the_current_prices_beside_a_full_backfill(found):
    def amounts(decided, name):
        costs = next(row["bill"] for row in decided["rows"] if row["name"] == name)
        return [amount_text(costs[key]) for key in ("money", "days", "gpu_hours")]

    for price in (2.0, 500.0):
        decided = with_costs(found["decision"], CostConfig(items=10**9, gpu_price=price))
        (money, days, hours), full = (amounts(decided, name) for name in (decided["recommended"], "full backfill"))
        bill = f"It costs {money} in money, {days} days and {hours} GPU-hours"
        assert f"{bill} (full backfill: {full[0]}, {full[1]} and {full[2]})." in headline(decided)
    free = with_costs(found["decision"], CostConfig(gpu_price=0.0))
    assert free["recommended"] == "full backfill" and "(full backfill:" not in headline(free)
    few = with_costs(found["decision"], CostConfig(items=3))
    assert headline(few).endswith("For so few items no option costs anything worth naming.")


def test_the_bill_stands_beside_the_share_of_the_gain_and_retraining_has_its_own(found):
    shown = shown_table(found["decision"])
    place = list(shown.columns).index("of the possible gain")
    assert shown.columns[place + 1 : place + 3].tolist() == ["money", "embed again"]
    line = shown[shown["option"] == "retrain compatibly (not judged)"].iloc[0]
    assert line["GPU-hours"] == "100" and line["money"] == "200"


def test_page_says_the_answer_and_loads_nothing(found):
    page = decision_page(found)
    assert escape(headline(found["decision"])) in page and "&lt;b&gt;old" in page and "<b>old" not in page
    for row in found["decision"]["rows"]:
        assert row["name"].replace("→", "→") in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?:""", page.split("</script>", 1)[1])
    for section in ("How many pairs", "How much to backfill", "The deployed threshold", "Who gets worse", "goes wrong"):
        assert section in page


def test_the_backfill_of_a_decision_is_drawn_as_that_of_a_run(found):
    figure = plan_figure(found["studies"], found["decision"])
    rows = {row["name"]: row["values"]["mAP"]["value"] for row in found["decision"]["rows"]}
    levels = [100 * rows["status quo"], 100 * rows["full backfill"]]
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx(levels)
    assert sum(trace.fill == "toself" for trace in figure.data) == 1, "the band of the random orders"


def test_a_part_of_the_rest_is_not_called_a_part_of_the_gain(found):
    assert "backfill for 95 % of the rest" in plan_table(found["studies"]["plan"]).columns
    page = decision_page(found)
    assert "The rest: what a full backfill would still add" in page and "% of the gain" not in page


def test_a_training_beside_options_that_cost_next_to_nothing_is_drawn_in_powers_of_ten(found):
    decided = copy.deepcopy(found["decision"])
    for number, row in enumerate(decided["rows"]):
        row["bill"]["money"] = 1.0 + number
    assert trade_off_figure(option_table(decided), "mAP").layout.xaxis.type is None
    decided["rows"][-1]["bill"]["money"] = 1e4
    assert trade_off_figure(option_table(decided), "mAP").layout.xaxis.type == "log"
    decided["rows"][0]["bill"]["money"] = 0.0  # has no place on such an axis
    assert trade_off_figure(option_table(decided), "mAP").layout.xaxis.type is None


def test_an_option_that_fails_does_not_press_the_useful_ones_into_a_line(found):
    decided = copy.deepcopy(found["decision"])
    possible = next(row for row in decided["rows"] if row["name"] == "full backfill")["gain"]["mAP"]["value"]
    for row in decided["rows"][3:5]:
        row["gain"]["mAP"] = {"value": -0.84, "ci_low": -0.9, "ci_high": -0.8}
    table = option_table(decided)
    figure = trade_off_figure(table, "mAP")
    below = int((table["gain"] < -possible).sum())
    assert below >= 2 and figure.layout.yaxis.range[0] == pytest.approx(-100 * possible, rel=0.25)
    assert any(f"{below} options lie below, down to −84.0 points" in note.text for note in figure.layout.annotations)
    assert sum(len(trace.y) for trace in figure.data) == len(table), "zooming out shows them"


def test_the_options_to_choose_from_are_named_and_amounts_written_out(found):
    table = option_table(found["decision"])
    figure = trade_off_figure(table, "mAP")
    notes = {note.text: note for note in figure.layout.annotations}
    assert short_name(found["decision"]["recommended"]) in notes and notes["status quo"].xref == "paper"
    named = worth_naming(table)
    assert named[0] == found["decision"]["recommended"] and "full backfill" in named
    lines = table.set_index("option").loc[named[1:]]
    assert lines["gain"].is_monotonic_decreasing and lines["money"].is_monotonic_decreasing
    assert figure.layout.xaxis.exponentformat == "none"


@pytest.mark.parametrize(
    ("option", "short"),
    [
        ("fct old→new + 75 % backfilled (class order)", "fct + 75 %"),
        ("rank merge by rank, 25 % backfilled", "rank merge by rank, 25 %"),
        ("ridge new→old", "ridge on queries"),
        ("full backfill", "full backfill"),
    ],
)
def test_short_names(option, short):
    assert short_name(option) == short


def test_page_of_no_recommendation(found):
    nothing = document(unrelated())
    page = decision_page(nothing)
    assert "Recommended: change nothing." in page and rollback(nothing["decision"]).startswith("Nothing to roll back")
    assert "truth: labels" in facts(nothing["decision"])


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (4e-7, "<0.001"), (0.00412, "0.00412"), (0.5, "0.500"), (12.345, "12.3"), (1234.5, "1,234")],
)
def test_small_amounts_keep_their_digits(amount, text):
    assert amount_text(amount) == text


def test_what_is_left_out_is_named_with_its_reason():
    given = better_new()
    wider = np.hstack([given.new, given.new])
    wide = document(Given(given.old, wider))
    sentences = left_out(wide["decision"])
    assert "naive swap (old vectors have 8 dimensions, new queries 16" in sentences[0]
    assert all(sentence in decision_page(wide) for sentence in sentences)


def test_a_document_without_studies_still_has_a_page(found):
    assert "How many pairs" not in decision_page({key: found[key] for key in ("decision", "inputs", "environment")})


def test_study_tables_have_a_line_per_entry(found):
    looked = found["studies"]
    assert len(plan_table(looked["plan"])) == len(looked["plan"])
    assert len(threshold_table(looked["thresholds"])) == len(looked["thresholds"])
    assert len(harm_table(looked["harm"], "class")) == 12 and len(harm_table(looked["harm"], "class", 3)) == 3


@pytest.mark.parametrize(
    ("step", "wanted", "says"),
    [
        (None, None, "Too few"),
        ({"value": 0.01, "ci_low": -0.01, "ci_high": 0.03}, 900, "not shown to help"),
        ({"value": 0.01, "ci_low": 0.005, "ci_high": 0.03}, 1_234, "about 1,200 pairs, 830 more"),
        ({"value": 0.01, "ci_low": 0.005, "ci_high": 0.03}, 12_345, "more than 4,000"),
        ({"value": 0.01, "ci_low": 0.005, "ci_high": 0.03}, 100, "help a little"),
    ],
)
def test_budget_sentence(step, wanted, says):
    helps = step is not None and step["ci_low"] > 0
    budget = {"last_doubling": step, "more_helps": helps, "wanted": wanted, "metric": "mAP", "points": [{"pairs": 400}]}
    assert says in budget_sentence(budget)
