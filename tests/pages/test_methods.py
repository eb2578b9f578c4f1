"""Methods: whatever is registered is on the page, with everything its entry says."""

from compat_core.adapters import ADAPTERS
from compat_core.data import DATASETS
from compat_core.experiments.presets import PRESETS
from compat_core.losses import LOSSES
from compat_core.methods import METHODS
from compat_core.metrics import METRICS
from compat_core.models import BACKBONES
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.ui.catalogue import SECTIONS, parameters


def test_every_entry_is_shown(empty, visit):
    app = visit("methods")
    headings = {heading.value for heading in app.subheader}
    for registry in (METHODS, ADAPTERS, LOSSES, METRICS, ORDERINGS, DATASETS, PRESETS):
        assert {entry.title for entry in registry} <= headings
    (table,) = [frame.value for frame in app.dataframe if "smallest image (px)" in frame.value.columns]
    assert set(table["name"]) == set(BACKBONES.names())
    formulas = {latex.value.strip("$\n ") for latex in app.latex}
    assert {entry.formula.strip() for entry in (*METHODS, *ADAPTERS)} <= formulas


def test_a_word_that_is_nowhere_says_so(empty, visit):
    app = visit("methods", find="zyzzyva")
    assert not app.subheader
    assert sum("Nothing here matches" in caption.value for caption in app.caption) == len(app.tabs) == len(SECTIONS)


def test_parameters_state_unit_range_and_paper():
    for entry in METHODS:
        for row in parameters(entry.config):
            assert row["what it does"]
    rows = {row["parameter"]: row for row in parameters(METHODS.get("bct-kd").config)}
    assert rows["temperature"]["range"] == "0 … 1000"
    assert rows["temperature"]["paper"]
