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
    scores = ways.rank_merge(judging, 0.5, np.arange(40), "rank").scorer(np.array([0]))[0]
    backfilled, untouched = scores[:20], scores[20:]
    # each list holds every position once, as a share of its own length
    for part in (backfilled, untouched):
        torch.testing.assert_close(part.sort(descending=True).values, -(torch.arange(20) + 0.5) / 20)
    query = int(judging.queries[0])
    assert int(backfilled.argmax()) == int(cosine(judging.new[query][None], judging.new[:20]).argmax())
    assert int(untouched.argmax()) == int(cosine(judging.old[query][None], judging.old[20:]).argmax())


def test_rank_merge_by_score_standardises_each_list(judging):
    scores = ways.rank_merge(judging, 0.5, np.arange(40), "score").scorer(np.arange(10))
    torch.testing.assert_close(scores[:, :20].mean(dim=1), torch.zeros(10), atol=1e-6, rtol=0)
    torch.testing.assert_close(scores[:, 20:].std(dim=1), torch.ones(10))


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
