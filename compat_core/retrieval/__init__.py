"""Exact search over embeddings: similarities, the rank of every relevant item, and the nearest neighbours."""

from compat_core.retrieval.ranking import RankBlock, iter_rank_blocks, relevant_ranks
from compat_core.retrieval.scores import DISTANCES, similarity
from compat_core.retrieval.search import Neighbours, top_k
from compat_core.retrieval.vectors import load_ids, load_labels, load_vectors

__all__ = [
    "DISTANCES",
    "Neighbours",
    "RankBlock",
    "iter_rank_blocks",
    "load_ids",
    "load_labels",
    "load_vectors",
    "relevant_ranks",
    "similarity",
    "top_k",
]
