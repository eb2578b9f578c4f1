import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from compat_core.adapters import ADAPTERS, Pairs
from compat_core.vectors import options as ways
from compat_core.vectors.given import Candidate
from compat_core.vectors.space import Judging


@pytest.fixture
def judging():
    rng = np.random.default_rng(0)
    old, new = (torch.tensor(rng.standard_normal((40, 5)), dtype=torch.float32) for _ in range(2))
    return Judging(old, new, np.arange(0, 40, 4), "cosine")


def cosine(query, gallery):
    return F.normalize(query) @ F.normalize(gallery).T


def test_references_score_what_they_say(judging):
    found = {option.name: option.scorer(np.arange(10)) for option in ways.references(judging)}
    queries = torch.from_numpy(judging.queries)
    for name, query, gallery in [
        ("status quo", judging.old, judging.old), ("naive swap", judging.new, judging.old),
        ("full backfill", judging.new, judging.new),
    ]:  # fmt: skip
        torch.testing.assert_close(found[name], cosine(query[queries], gallery))


def test_naive_swap_is_left_out_where_dimensions_differ(judging):
    other = Judging(judging.old[:, :3], judging.new, judging.queries, "cosine")
    assert [option.name for option in ways.references(other)] == ["status quo", "full backfill"]


def test_part_backfill_holds_new_rows_first_in_the_order_and_mapped_ones_after(judging):
    adapter = ADAPTERS.get("procrustes")
    fitted = adapter.fit(Pairs(judging.old.numpy(), judging.new.numpy()))
    base = ways.gallery_option(judging, adapter, fitted)
    order = np.arange(40)[::-1]
    gallery = ways.part_backfill(judging, base, 0.25, order).scorer.gallery
    torch.testing.assert_close(gallery[30:], F.normalize(judging.new[30:]))
    torch.testing.assert_close(gallery[:30], F.normalize(fitted(judging.old[:30])))


def test_rank_merge_interleaves_two_lists_by_position(judging):
    scores = ways.rank_merge(judging, 0.5, np.arange(40), "rank").scorer(np.array([1]))[0]
    backfilled, untouched = scores[:20], scores[20:]
    query = int(judging.queries[1])  # among the backfilled, whose list has one other item less
    # each list holds every position of the others once, as a share of their number
    others = backfilled[torch.arange(20) != query].sort(descending=True).values
    torch.testing.assert_close(others, -(torch.arange(19) + 0.5) / 19)
    torch.testing.assert_close(untouched.sort(descending=True).values, -(torch.arange(20) + 0.5) / 20)
    near = cosine(judging.new[query][None], judging.new[:20])[0]
    near[query] = -2
    assert int(backfilled.argmax()) == int(near.argmax())
    assert int(untouched.argmax()) == int(cosine(judging.old[query][None], judging.old[20:]).argmax())


def test_rank_merge_by_score_standardises_each_list(judging):
    scores = ways.rank_merge(judging, 0.5, np.arange(40), "score").scorer(np.arange(10))
    for row, query in zip(scores, judging.queries, strict=True):
        for part in (torch.arange(20), torch.arange(20, 40)):
            others = row[part[part != query]]
            torch.testing.assert_close(others.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
            torch.testing.assert_close(others.std(), torch.tensor(1.0))


@pytest.mark.parametrize("by", ["rank", "score"])
def test_rank_merge_answers_as_if_the_query_were_not_in_the_gallery(judging, by):
    """The same search with the query's own row taken out of the gallery orders all other items alike."""
    order, query = np.random.default_rng(1).permutation(40), int(judging.queries[3])
    found = ways.rank_merge(judging, 0.5, order, by).scorer(np.array([3]))[0]
    rest = np.flatnonzero(np.arange(40) != query)
    expected = np.empty(40)
    for part, emb in ((order[:20], judging.new), (order[20:], judging.old)):
        own = np.sort(part[part != query])
        scores = cosine(emb[query][None], emb[own])[0].numpy()
        ranks = (-scores).argsort().argsort()
        expected[own] = -(ranks + 0.5) / len(own) if by == "rank" else (scores - scores.mean()) / scores.std(ddof=1)
    np.testing.assert_allclose(found.numpy()[rest], expected[rest], atol=1e-5)


def test_rank_merge_by_score_takes_distances_as_users_see_them(judging):
    order, query = np.random.default_rng(1).permutation(40), int(judging.queries[3])
    far = dataclasses.replace(judging, distance="l2")
    found = ways.rank_merge(far, 0.5, order, "score").scorer(np.array([3]))[0]
    for part, emb in ((order[:20], judging.new), (order[20:], judging.old)):
        own = part[part != query]
        scores = -torch.cdist(emb[query][None], emb[own])[0]
        torch.testing.assert_close(found[own], (scores - scores.mean()) / scores.std(), atol=1e-4, rtol=1e-4)


def test_rank_merge_by_score_of_a_list_of_one_item_is_a_number(judging):
    scores = ways.rank_merge(judging, 1 / 40, np.roll(np.arange(40), 1), "score").scorer(np.arange(10))
    assert torch.isfinite(scores).all() and (scores[:, 39] == 0).all()


def test_spherical_interpolation_moves_by_a_share_of_the_angle():
    start, end = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    turned = ways.interpolated(start, end, 1 / 3)
    torch.testing.assert_close(turned, torch.tensor([[np.cos(np.pi / 6), np.sin(np.pi / 6)]]).float())
    torch.testing.assert_close(ways.interpolated(start, 2 * start, 0.5), start)


def test_a_candidate_is_scored_by_its_own_vectors(judging):
    rows = np.arange(5, 45)
    query, gallery = (np.random.default_rng(seed).standard_normal((60, 3)) for seed in (1, 2))
    candidate = Candidate("bct-sys", query, gallery)
    option = ways.candidate_option(judging, candidate, rows)
    expected = cosine(torch.tensor(query[rows][judging.queries]), torch.tensor(gallery[rows])).float()
    torch.testing.assert_close(option.scorer(np.arange(10)), expected)
    assert option.kind == "retrain" and not option.maps_gallery and option.retrained
