"""Numbers that say how well a gallery answers queries, how sure they are, and whether two models are compatible."""

from compat_core.metrics.base import Metric
from compat_core.metrics.bootstrap import (
    FEWEST,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_means,
    bootstrap_ratio,
    interval,
)
from compat_core.metrics.catalogue import METRICS, resolve
from compat_core.metrics.compatibility import (
    Flips,
    Verdict,
    cost_to_new,
    flips,
    gain,
    outcome_of,
    recovered_gain,
    update_gain,
    verdict,
)
from compat_core.metrics.evaluate import check_metrics, evaluate_retrieval
from compat_core.metrics.identification import IdentificationScores, identify
from compat_core.metrics.operating_points import OperatingPoint
from compat_core.metrics.per_class import per_class
from compat_core.metrics.protocols import PROTOCOL_METRICS, ProtocolMetric
from compat_core.metrics.report import evaluation_summary
from compat_core.metrics.scores import PerQuery, RetrievalScores
from compat_core.metrics.templates import Templates, templates
from compat_core.metrics.verification import VerificationScores, verify
from compat_core.registry import import_modules

__all__ = [
    "FEWEST",
    "METRICS",
    "PROTOCOL_METRICS",
    "Flips",
    "IdentificationScores",
    "Interval",
    "Metric",
    "OperatingPoint",
    "PerQuery",
    "ProtocolMetric",
    "RetrievalScores",
    "Templates",
    "Verdict",
    "VerificationScores",
    "bootstrap_difference",
    "bootstrap_mean",
    "bootstrap_means",
    "bootstrap_ratio",
    "check_metrics",
    "cost_to_new",
    "evaluate_retrieval",
    "evaluation_summary",
    "flips",
    "gain",
    "identify",
    "interval",
    "outcome_of",
    "per_class",
    "recovered_gain",
    "resolve",
    "templates",
    "update_gain",
    "verdict",
    "verify",
]

import_modules(__name__, __path__)
