"""The backfill table averages over seeds; the figure draws what the results hold."""

import dataclasses
import io

import pandas as pd
import pytest

from compat_core.errors import CompatError
from compat_core.reports.backfill import backfill_figure, backfill_table
from compat_core.reports.backfill_bill import Priced, needed_lines, needed_table, orders_without_gain, priced_figure
from compat_core.reports.backfill_curves import LOOKS, Curve, order_look
from compat_core.reports.frames import amount_text
from compat_core.reports.layout import LEVEL_LINE_PX, LEVEL_PLOT_PX, REFERENCES
from compat_core.reports.roles import role
from compat_core.reports.tables import frame_to_format
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.vectors.bill import CostConfig


def entry(seed, order, auc, share, repeats=1):
    values = [0.2, 0.5, 0.8]
    return {
        "method": "fct", "seed": seed, "order": order, "metric": "mAP", "shares": [0, 0.5, 1], "values": values,
        "low": [v - 0.1 for v in values], "high": [v + 0.1 for v in values], "repeats": repeats, "auc": auc,
        "auc_ci_low": auc - 0.1, "auc_ci_high": auc + 0.1, "trapezoid": auc, "num_queries": 9,
        "share_for": {"0.9": share, "0.95": None},
    }  # fmt: skip


RESULTS = {
    "rows": [{"method": "fct", "cell": "old/old", "metric": "mAP", "value": 0.3}],
    "backfill": [entry(0, "random", 0.5, 0.5, 3), entry(1, "random", 0.7, 1.0, 3), entry(0, "sigma", 0.6, 0.25)],
}


def test_table_averages_over_seeds():
    table = backfill_table(RESULTS).set_index("order")
    assert table.loc["random", "auc"] == pytest.approx(0.6)
    assert table.loc["random", "share_90"] == pytest.approx(0.75)
    assert table.loc["random", "seeds"] == 2
    assert table["share_95"].isna().all()
    assert table["auc_ci_low"].isna().tolist() == [True, False]
    assert table["gaining"].isna().all()
    assert backfill_table({}).empty


def test_shares_of_fewer_seeds_than_the_area_say_of_how_many():
    found = backfill_table({"backfill": [*RESULTS["backfill"], entry(2, "random", 0.4, None)]}).set_index("order")
    assert found.loc["random", ["share_90", "seeds", "gaining"]].tolist() == [0.75, 3, 2]
    assert pd.isna(found.loc["sigma", "gaining"])


def test_figure_has_a_line_per_order_and_a_band_for_the_random_one():
    figure = backfill_figure(RESULTS, "fct")
    names = [trace.name for trace in figure.data if trace.name]
    assert [name.split(" ")[0] for name in names] == ["random", "sigma"]
    assert sum(trace.fill == "toself" for trace in figure.data) == 1
    with pytest.raises(CompatError, match="drew none"):
        backfill_figure(RESULTS, "bct")


CURVE = Curve("random", [0.0, 1.0], [0.2, 0.5], [], [], 0.35, {0.9: (0.5, 0.4, 0.6), 0.99: (None, None, None)})
PRICED = Priced(CostConfig(), 1_000, 64, 64, True)


def test_the_priced_figure_shows_status_quo_and_ceiling_inside_its_range():
    figure = priced_figure([CURVE], PRICED, "share", "mAP", "a title", {"old/old": 0.3, "paragon": 0.9})
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx([30, 90])
    low, high = figure.layout.yaxis.range
    assert low < 20 and high > 90
    assert not priced_figure([CURVE], PRICED, "share", "mAP", "a title").layout.shapes


def test_the_table_of_shares_says_of_what_they_are_a_part():
    table = needed_table(needed_lines([CURVE], PRICED))
    assert table["of what a full backfill would still add"].tolist() == ["90 %", "99 %"]
    assert table["smallest share (95 %)"].tolist() == ["50 % (40 … 60)", "–"]


FAMILIAR = {
    "random": ("#0072B2", "dot", "circle"),
    "sigma": ("#2F8FC4", "solid", "square"),
    "class-mean": ("#009E73", "solid", "triangle-up"),
    "oracle": ("#B8800B", "longdashdot", "diamond"),
    "class": ("#D55E00", "dashdot", "cross"),
    "popularity": ("#6A4FC7", "dashdot", "x"),
}


def test_no_ordering_looks_like_the_ceiling_or_the_status_quo():
    for part in (0, 2):
        assert len({look[part] for look in LOOKS}) == len(LOOKS), "colours and markers, each once"
    for color, dash, _ in LOOKS:
        assert color not in {role(cell).color for cell in REFERENCES}
        assert dash not in {role(cell).dash for cell in REFERENCES}


def test_every_ordering_has_a_look_that_no_other_one_has():
    looks = {name: order_look(name) for name in (*ORDERINGS.names(), "gone since")}
    assert len(set(looks.values())) == len(ORDERINGS) + 1
    assert {name: looks[name] for name in FAMILIAR} == FAMILIAR, "curves of earlier reports keep their colours"


def test_there_are_looks_for_more_orderings_than_colours(monkeypatch):
    names = tuple(f"ordering-{place}" for place in range(len(LOOKS) ** 2 - 1))
    monkeypatch.setattr(ORDERINGS, "names", lambda: names)
    looks = {order_look(name) for name in (*names, "gone since")}
    assert len(looks) == len(names) + 1


def test_an_ordering_keeps_its_look_when_others_are_left_out():
    oracle = dataclasses.replace(CURVE, order="oracle")
    both, alone = (priced_figure(curves, PRICED, "share", "mAP", "t") for curves in ([CURVE, oracle], [oracle]))
    assert both.data[1].line == alone.data[0].line and both.data[1].line.color != both.data[0].line.color


@pytest.mark.parametrize("ceiling", [0.302, 0.9])
def test_the_words_of_lines_across_stand_beside_the_plot_and_apart(ceiling):
    figure = priced_figure([CURVE], PRICED, "share", "mAP", "a title", {"old/old": 0.3, "paragon": ceiling})
    low, high = figure.layout.yaxis.range
    below, above = figure.layout.annotations
    assert {note.xref for note in (below, above)} == {"paper"} and {note.x for note in (below, above)} == {1}
    assert figure.layout.margin.r >= 70, "their margin"
    px = [LEVEL_PLOT_PX * (note.y - low) / (high - low) + note.yshift for note in (below, above)]
    assert px[1] - px[0] >= 2 * LEVEL_LINE_PX - 1e-6, "each has two lines"
    assert (below.yshift, above.yshift) == (0, 0) or ceiling < 0.9, "moved only where they are near"


def test_shares_needed_are_taken_along_as_numbers():
    text = frame_to_format(needed_lines([CURVE], PRICED), "csv")
    table = pd.read_csv(io.BytesIO(text))
    assert all(pd.api.types.is_numeric_dtype(table[name]) for name in table.columns if name != "ordering")
    first, last = table.iloc[0], table.iloc[1]
    bounds = [first[f"smallest share{which} (%)"] for which in ("", ", 95 % low", ", 95 % high")]
    assert bounds == pytest.approx([50, 40, 60]) and first["items"] == 500
    assert first["part of what a full backfill would still add (%)"] == 90
    costs = PRICED.at(0.5)
    assert first["money (in the unit of the prices)"] == pytest.approx(costs["money"], rel=1e-12)
    assert first["GPU-hours"] == pytest.approx(costs["gpu_hours"], rel=1e-12)
    assert last.drop(["ordering", "area (%)", "part of what a full backfill would still add (%)"]).isna().all()


def test_small_bills_of_shares_are_not_shown_as_nothing():
    priced = Priced(CostConfig(items=50_000), 50_000, 64, 64, True)
    line = needed_table(needed_lines([CURVE], priced)).iloc[0]
    assert (line["items"], line["GPU-hours"]) == ("25,000", "0.0139")
    assert line["money"] == amount_text(priced.at(0.5)["money"]) != "0.0"


def test_orderings_of_which_no_share_can_be_named():
    flat = dataclasses.replace(CURVE, order="oracle", needed={0.9: (None, None, None), 0.99: (None, None, None)})
    assert orders_without_gain([CURVE, flat]) == ["oracle"]
    assert orders_without_gain([CURVE]) == []
