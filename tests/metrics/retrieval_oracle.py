"""Retrieval metrics as slowly and as obviously as possible: one query, one gallery item at a time."""

from __future__ import annotations

import math

import numpy as np


def score(q, g, distance):
    dot = math.fsum(float(a) * float(b) for a, b in zip(q, g, strict=True))
    if distance == "dot":
        return dot
    if distance == "l2":
        return -math.fsum((float(a) - float(b)) ** 2 for a, b in zip(q, g, strict=True))
    lengths = math.sqrt(math.fsum(float(a) ** 2 for a in q)) * math.sqrt(math.fsum(float(b) ** 2 for b in g))
    return dot / lengths if lengths else 0.0


def rankings(query, gallery, distance, query_ids=None, gallery_ids=None):
    """For every query, the gallery rows from nearest to farthest; ties in gallery order; equal ids left out."""
    result = []
    for i, q in enumerate(query):
        rows = [j for j in range(len(gallery)) if query_ids is None or query_ids[i] != gallery_ids[j]]
        scores = {j: score(q, gallery[j], distance) for j in rows}
        result.append(sorted(rows, key=lambda j: (-scores[j], j)))
    return result


def evaluate(query, query_labels, gallery, gallery_labels, query_ids=None, gallery_ids=None, distance="cosine", ks=()):
    """Dictionary of lists over all queries; None where a query has nothing relevant."""
    out = {"first": [], "ap": [], "ap_at_r": [], "rp": [], **{f"cmc{k}": [] for k in ks}, **{f"p{k}": [] for k in ks}}
    curve = np.zeros(101)
    for label, ranking in zip(query_labels, rankings(query, gallery, distance, query_ids, gallery_ids), strict=True):
        relevant = [gallery_labels[j] == label for j in ranking]
        total = sum(relevant)
        if total == 0:
            for values in out.values():
                values.append(None)
            continue
        hits, precisions = 0, []
        for place, right in enumerate(relevant, start=1):
            if right:
                hits += 1
                precisions.append((place, hits / place))
        out["first"].append(precisions[0][0])
        out["ap"].append(sum(p for _, p in precisions) / total)
        out["ap_at_r"].append(sum(p for place, p in precisions if place <= total) / total)
        out["rp"].append(sum(relevant[:total]) / total)
        for k in ks:
            out[f"cmc{k}"].append(float(any(relevant[:k])))
            out[f"p{k}"].append(sum(relevant[:k]) / k)
        for level in range(101):
            reached = [p for i, (_, p) in enumerate(precisions, start=1) if 100 * i >= level * total]
            curve[level] += max(reached)
    valid = sum(value is not None for value in out["first"])
    return out, curve / max(valid, 1)


def mean(values):
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept)
