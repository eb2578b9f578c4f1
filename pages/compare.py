"""Compare: verdicts, the query × gallery matrix, curves, costs, classes; for one run or several."""

import streamlit as st

from compat_core.ui import compare_parts as parts
from compat_core.ui import compare_verdicts as verdicts
from compat_core.ui import protocol_parts as protocols
from compat_core.ui.chain_parts import chains
from compat_core.ui.frame import begin, shown_errors, store
from compat_core.ui.pickers import pick_runs
from compat_core.ui.verdicts import matrix, sentences

begin("Compare", "Status quo, naive swap, every method and the ceiling, on the same queries.")

runs = pick_runs(store(), "run")
with shown_errors():
    results = verdicts.seeds_together(runs, verdicts.finished_results(runs))
    verdicts.comparable(results)
    if results:
        metric = verdicts.pick_metric(results)
        parts.metric_help(metric, results)
        chains(results, metric)
        upgrades = [one for one in results if not one.get("chain")]
        if upgrades:
            st.subheader("Verdicts")
            matrix(upgrades, metric, "compare")
            with st.expander("In words, method by method"):
                sentences(upgrades, metric)
            verdicts.every_metric(upgrades)
            parts.matrices(upgrades, metric)
            parts.bars(upgrades, metric)
            parts.curves(upgrades)
            parts.trade_off(upgrades, metric)
            protocols.scores_over_sets(upgrades, metric)
            parts.backfill(upgrades)
            protocols.protocols(upgrades)
            parts.flips(upgrades)
            parts.classes(upgrades, metric)
            protocols.subgroups(upgrades, metric)
            parts.baseline(results, runs)
        parts.take_along(results, runs)
