"""Published claims: one file per paper or family, which registers its own when it is imported."""

# The order here is the order of lists, pages and JSON; any other file of this folder comes after them.
# isort: off
from compat_core.reports.claims import bct, lce, chain, fct, fastfill, controls  # noqa: F401
# isort: on

from compat_core.registry import import_modules
from compat_core.reports.claims.base import CLAIMS, OUTCOMES, Answer, Claim, Finding, answer, pool

import_modules(__name__, __path__)

__all__ = ["CLAIMS", "OUTCOMES", "Answer", "Claim", "Finding", "answer", "pool"]
