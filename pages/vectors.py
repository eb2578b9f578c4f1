"""Vectors: what to do with the vectors one has, decided on held-out items, with the bill."""

from compat_core.ui import decision_parts as shown
from compat_core.ui import vector_form as form
from compat_core.ui.frame import begin, shown_errors

begin("Vectors", "Two files of vectors in, one answer out: adapt, merge, backfill a part, retrain, or change nothing.")

with shown_errors():
    form.new_decision()

job = form.pick_decision()
if job is not None:
    with shown_errors():
        shown.show(job)
