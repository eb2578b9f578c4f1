"""Methods: whatever is registered is on the page, with everything its entry says."""

import pytest

from compat_core.adapters import ADAPTERS
from compat_core.data import DATASETS
from compat_core.experiments.presets import PRESETS
from compat_core.losses import LOSSES
from compat_core.methods import METHODS
from compat_core.metrics import METRICS, PROTOCOL_METRICS
from compat_core.models import BACKBONES
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.ui.catalogue import SECTIONS, parameters

REGISTRIES = {
    "Methods": METHODS, "Adapters": ADAPTERS, "Losses": LOSSES, "Metrics": METRICS, "Protocols": PROTOCOL_METRICS,
    "Orderings": ORDERINGS, "Data sets": DATASETS, "Presets": PRESETS,
}  # fmt: skip


@pytest.mark.parametrize("section", REGISTRIES)
def test_every_entry_is_shown(section, empty, visit):
    app = visit("methods", section=section)
    assert [heading.value for heading in app.subheader] == [entry.title for entry in REGISTRIES[section]]
    formulas = {latex.value.strip("$\n ") for latex in app.latex}
    if section in ("Methods", "Adapters"):
        assert {entry.formula.strip() for entry in REGISTRIES[section]} <= formulas


def test_backbones_are_a_table(empty, visit):
    (table,) = visit("methods", section="Backbones").table
    assert set(table.value["name"].str.replace("\\", "")) == set(BACKBONES.names())
    assert len(SECTIONS) == len(REGISTRIES) + 1


def test_what_is_found_is_counted_by_section(empty, visit):
    app = visit("methods", find="fastfill")
    assert [heading.value for heading in app.subheader] == [METHODS.get("fastfill").title]
    (counts,) = [caption.value for caption in app.caption if caption.value.startswith("Found:")]
    assert "Methods 1" in counts and "Adapters 1" in counts and "Losses" not in counts


def test_a_word_that_is_nowhere_says_so(empty, visit):
    app = visit("methods", find="zyzzyva")
    assert not app.subheader
    captions = [caption.value for caption in app.caption]
    assert "Found: nothing" in captions and "Nothing here matches." in captions


def test_parameters_state_unit_range_and_paper():
    for entry in METHODS:
        for row in parameters(entry.config):
            assert row["what it does"]
    rows = {row["parameter"]: row for row in parameters(METHODS.get("bct-kd").config)}
    assert rows["temperature"]["range"] == "0 … 1000"
    assert rows["temperature"]["paper"]
