"""What runs share of the metrics, and what is said of a run that was made before a metric was added."""

import pytest

from compat_core.errors import CompatError
from compat_core.metrics import METRICS
from compat_core.reports.held import check_held, left_out, runs_lacking, shared_metrics
from tests.reports.sample import sample_results


def _holding(run, *names):
    rows = sample_results(run)["rows"]
    return {**sample_results(run), "rows": [{**rows[0], "metric": name} for name in names]}


def test_shared_are_the_metrics_of_every_run_in_the_order_of_the_registry():
    every, some = _holding("every", *METRICS.names()), _holding("some", "mAP", "CMC@1", "gain(CMC@5)")
    assert shared_metrics([every]) == list(METRICS.names())
    assert shared_metrics([every, some]) == [name for name in METRICS.names() if name in ("mAP", "CMC@1")]
    assert shared_metrics([some, _holding("none")]) == []
    assert runs_lacking([every, some])["CMC@5"] == ["some"], "a difference is not the metric"


def test_one_line_says_what_is_left_out_because_of_which_run():
    names = [name for name in METRICS.names() if name not in ("mAP@R", "R-precision")]
    every, old, older = _holding("every", *METRICS.names()), _holding("old", *names), _holding("older", *names[1:])
    assert left_out(every) == ""
    assert left_out([every, old]) == "Left out: mAP@R, R-precision (not measured in old)."
    assert left_out([every, old, older]) == (
        f"Left out: {names[0]} (not measured in older); mAP@R, R-precision (not measured in old, older)."
    )


def test_a_metric_that_a_run_lacks_is_refused_with_the_runs_that_lack_it():
    every, one, two = _holding("every", *METRICS.names()), _holding("one", "mAP"), _holding("two", "mAP", "CMC@1")
    check_held([every, one, two], ["mAP"])
    with pytest.raises(CompatError, match=r"metric: got 'CMC@5'; not measured in one, two; .*or choose of mAP$"):
        check_held([every, one, two], ["mAP", "CMC@5"])
    with pytest.raises(CompatError, match=r"unknown metric: got 'mAPP'.*did you mean 'mAP'"):
        check_held(one, ["mAPP"])
