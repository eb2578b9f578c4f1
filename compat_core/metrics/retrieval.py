"""The retrieval family: CMC, mean average precision in both its common forms, R-precision and precision at k."""

from __future__ import annotations

from compat_core.metrics.base import Metric


def cmc_at(k: int) -> Metric:
    """CMC@k, the cumulative match characteristic at ``k``."""
    top = "nearest item is" if k == 1 else f"nearest {k} items include one that is"
    return Metric(
        name=f"CMC@{k}",
        title=f"Cumulative match characteristic at rank {k}",
        low=0.0,
        high=1.0,
        direction=1,
        formula=f"mean over queries of [rank of the first relevant item <= {k}]",
        help=f"The share of queries whose {top} relevant. Where the gallery holds fewer than {k}, all of it counts.",
        synonyms=(f"top-{k}", f"top{k}", f"recall@{k}", f"R@{k}", f"rank-{k}", f"CMC-{k}", f"hit@{k}"),
        version=1,
        reference="BCT, arXiv:2003.11942; FCT, arXiv:2112.02805, Sec. 4 (CMC top-k)",
        from_scores=lambda scores: scores.per_query.hit_within(k),
    )


def precision_at(k: int) -> Metric:
    """precision@k; missing places of a smaller gallery count as wrong."""
    return Metric(
        name=f"precision@{k}",
        title=f"Precision among the nearest {k}",
        low=0.0,
        high=1.0,
        direction=1,
        formula=f"mean over queries of (relevant items among the nearest {k}) / {k}",
        help=(
            f"The share of the nearest {k} items that are relevant. A query with fewer than {k} relevant items cannot "
            f"reach 1, and places that a smaller gallery cannot fill count as wrong, as in TREC."
        ),
        synonyms=(f"P@{k}", f"prec@{k}"),
        version=1,
        reference="Manning, Raghavan, Schütze, Introduction to Information Retrieval, 2008, Sec. 8.4",
        from_scores=lambda scores: scores.per_query.precision_at(k),
    )


MEAN_AP = Metric(
    name="mAP",
    title="Mean average precision over the full ranking",
    low=0.0,
    high=1.0,
    direction=1,
    formula="mean over queries of (1/R) * sum over relevant items i = 1..R, nearest first, of i / rank_i",
    help=(
        "Average precision looks at every relevant item, wherever it ranks in the gallery: 1 when all R of them come "
        "first. It is not the mAP@k that a search cut at k items gives."
    ),
    synonyms=("mean average precision", "mean_ap", "mAP@all", "AP"),
    version=1,
    reference="Manning, Raghavan, Schütze, Introduction to Information Retrieval, 2008, Sec. 8.4",
    from_scores=lambda scores: scores.per_query.average_precision,
)

MEAN_AP_AT_R = Metric(
    name="mAP@R",
    title="Mean average precision cut at R",
    low=0.0,
    high=1.0,
    direction=1,
    formula="mean over queries of (1/R) * sum over relevant items i with rank_i <= R of i / rank_i",
    help=(
        "As mAP, but only the nearest R places count, R being the query's number of relevant items. Always at most mAP "
        "and at most R-precision; the metric-learning literature often calls this one MAP@R."
    ),
    synonyms=("map_at_r", "mean_ap_at_r"),
    version=1,
    reference="Musgrave, Belongie, Lim, A Metric Learning Reality Check, 2020, arXiv:2003.08505, Sec. 3.2",
    from_scores=lambda scores: scores.per_query.ap_at_r,
)

R_PRECISION = Metric(
    name="R-precision",
    title="R-precision",
    low=0.0,
    high=1.0,
    direction=1,
    formula="mean over queries of (relevant items among the nearest R) / R",
    help="The share of the nearest R items that are relevant, R being the query's number of relevant items.",
    synonyms=("r_precision", "RP", "precision@R"),
    version=1,
    reference="Musgrave, Belongie, Lim, A Metric Learning Reality Check, 2020, arXiv:2003.08505, Sec. 3.2",
    from_scores=lambda scores: scores.per_query.r_precision,
)

RETRIEVAL_METRICS = (cmc_at(1), cmc_at(5), cmc_at(10), MEAN_AP, MEAN_AP_AT_R, R_PRECISION, precision_at(10))
