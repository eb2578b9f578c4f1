"""Exact search over embeddings: similarities, the rank of every relevant item, and the nearest neighbours."""

from compat_core.retrieval.ranking import RankBlock, iter_rank_blocks, relevant_ranks
from compat_core.retrieval.scores import DISTANCES, similarity
from compat_core.retrieval.search import Neighbours, top_k

__all__ = [
    "DISTANCES",
    "Neighbours",
    "RankBlock",
    "iter_rank_blocks",
    "relevant_ranks",
    "similarity",
    "top_k",
]
