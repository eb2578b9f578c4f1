"""Templates: one vector for several items of the same person, class or object."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from compat_core.retrieval.inputs import check_embeddings, check_keys


class Templates(NamedTuple):
    """One row per group, in ascending order of the group values.

    Attributes:
        groups: (K,) distinct group values, int64 or unicode.
        embeddings: (K, D) float32, the mean of each group's normalised embeddings; at most of unit length.
    """

    groups: np.ndarray
    embeddings: torch.Tensor


@torch.no_grad()
def templates(emb: Any, groups: Any) -> Templates:
    """The mean of every group's normalised embeddings: t_k = (1/n_k) Σ_{i in k} x_i / ‖x_i‖.

    The mean is not normalised again: cosine does that by itself, and its length tells how well a group agrees. A zero
    vector has no direction; it adds nothing to the sum but counts in n_k.

    Args:
        emb: (N, D) numbers, numpy or torch, any real dtype.
        groups: (N,) whole numbers or texts; items of equal value form one template. To enrol several templates of one
            label, give the template's name here and look up the label of each name afterwards.

    Returns:
        The distinct groups and their templates, on the device ``emb`` came from. Sums run in float64.

    Raises:
        CompatError: for embeddings with NaN or of a wrong shape, or groups that do not fit them.

    Example:
        >>> found = templates([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]], ["b", "b", "a"])
        >>> found.groups.tolist(), found.embeddings.tolist()
        (['a', 'b'], [[1.0, 0.0], [0.5, 0.5]])

    Reference: IARPA Janus Benchmark C, ICB 2018 (templates); BCT, arXiv:2003.11942, Sec. 4.
    """
    vectors = check_embeddings("emb", emb)
    values, codes = np.unique(check_keys("groups", groups, len(vectors), "emb"), return_inverse=True)
    # On the CPU, where sums run in order: a GPU would add in a different order every time.
    wide = vectors.cpu().double()
    wide /= wide.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    group = torch.from_numpy(codes.reshape(-1).astype(np.int64))
    sums = wide.new_zeros(len(values), wide.shape[1]).index_add_(0, group, wide)
    means = sums / torch.bincount(group, minlength=len(values))[:, None]
    return Templates(values, means.float().to(vectors.device))
