"""A share of the gain over seeds is what the means of its cells give, wherever it is shown."""

import math

import numpy as np
import pytest

from compat_core.reports.frames import aggregate
from compat_core.reports.series import cell_value
from compat_core.reports.shares import share_over_seeds, values_by_seed
from compat_core.reports.verdicts import claims_sentences


def results(cross, old, paragon, gains=None):
    cells = {"new/migrated": cross, "old/old": old, "paragon": paragon}
    rows = [
        {"method": "fct", "seed": seed, "cell": cell, "metric": "mAP", "value": value}
        for cell, values in cells.items()
        for seed, value in enumerate(values)
    ]
    for seed, (one, two, three) in enumerate(zip(cross, old, paragon, strict=True)):
        share = (one - two) / (three - two) if three > two else None
        for name in ("recovered_gain(mAP)", "update_gain(mAP)"):
            rows.append({"method": "fct", "seed": seed, "cell": "new/migrated", "metric": name, "value": share})
    bounds = {"ci_low": None, "ci_high": None, "num_queries": 9}
    return {"run": "r", "dataset": "d", "rows": [row | bounds for row in rows], "verdicts": []}


def line(one, name="recovered_gain(mAP)"):
    table = aggregate([{"run": "r", "dataset": "d"} | row for row in one["rows"]])
    return table[table["metric"] == name].iloc[0]


def test_one_seed_with_next_to_nothing_to_gain_does_not_decide():
    one = results([0.30, 0.32, 0.31], [0.20, 0.20, 0.3999], [0.40, 0.40, 0.40])
    own = [row["value"] for row in one["rows"] if row["metric"] == "recovered_gain(mAP)"]
    share = np.mean([0.30, 0.32, 0.31]) - np.mean([0.20, 0.20, 0.3999])
    share /= 0.40 - np.mean([0.20, 0.20, 0.3999])
    assert np.mean(own) < -200 < 0 < share < 1
    found = line(one)
    assert (found["mean"], found["n"]) == (pytest.approx(share), 3)
    drawn = cell_value(one, "fct", "new/migrated", "recovered_gain(mAP)")
    assert (drawn.mean, drawn.high - drawn.mean) == (pytest.approx(share), pytest.approx(found["std"]))
    assert f"recovers {100 * share:.0f} % of the gain" in claims_sentences(one)[0]


def test_with_as_much_to_gain_in_every_seed_it_is_the_mean_share_and_its_deviation():
    one = results([0.30, 0.32, 0.37], [0.20] * 3, [0.40] * 3)
    own = [0.5, 0.6, 0.85]
    found = line(one)
    assert (found["mean"], found["std"]) == (pytest.approx(np.mean(own)), pytest.approx(np.std(own, ddof=1)))


def test_without_a_gain_there_is_no_share():
    one = results([0.30, 0.32], [0.40, 0.30], [0.35, 0.34])
    assert math.isnan(line(one)["mean"]) and line(one)["n"] == 0
    assert cell_value(one, "fct", "new/migrated", "recovered_gain(mAP)") is None


def test_an_update_gain_is_of_a_gain_that_was_made():
    one = results([0.15, 0.16], [0.20, 0.20], [0.40, 0.40])
    assert line(one)["mean"] == pytest.approx(-0.225)
    assert math.isnan(line(one, "update_gain(mAP)")["mean"])


def test_rows_without_the_cells_keep_their_mean():
    one = results([0.30, 0.32], [0.20, 0.20], [0.40, 0.40])
    one["rows"] = [row for row in one["rows"] if row["cell"] != "paragon"]
    assert line(one)["mean"] == pytest.approx(0.55)
    assert share_over_seeds("recovered_gain(mAP)", values_by_seed(one["rows"])) is None
    assert share_over_seeds("mAP", values_by_seed(one["rows"])) is None
