import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from compat_core.errors import CompatError
from compat_core.metrics import evaluate_retrieval
from compat_core.retrieval import DISTANCES
from compat_core.retrieval import ranking as ranking_module
from compat_core.retrieval.ranking import relate, relevant_ranks
from compat_core.retrieval.scores import prepare
from tests.metrics.retrieval_oracle import evaluate, mean

KS = (1, 3, 10)


def random_case(seed, num_query=17, num_gallery=41, dim=5, classes=6):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(num_query, dim)).astype(np.float32),
        rng.integers(0, classes, num_query),
        rng.normal(size=(num_gallery, dim)).astype(np.float32),
        rng.integers(0, classes, num_gallery),
    )


def check(query, query_labels, gallery, gallery_labels, query_ids=None, gallery_ids=None, distance="cosine", ks=KS):
    """Everything compared with the oracle; the found scores are returned."""
    args = (query, query_labels, gallery, gallery_labels, query_ids, gallery_ids)
    found = evaluate_retrieval(*args, distance=distance, ks=ks, device="cpu", curves=True)
    plain = [None if part is None else np.asarray(part).tolist() for part in args]
    expected, curve = evaluate(*plain, distance=distance, ks=ks)
    per_query = found.per_query
    assert per_query.valid.tolist() == [value is not None for value in expected["first"]]
    assert per_query.first_hit_rank.tolist() == [value or 0 for value in expected["first"]]
    columns = {"ap": per_query.average_precision, "ap_at_r": per_query.ap_at_r, "rp": per_query.r_precision}
    columns |= {f"cmc{k}": per_query.hit_within(k) for k in ks} | {f"p{k}": per_query.precision[k] for k in ks}
    for name, values in columns.items():
        wanted = [np.nan if value is None else value for value in expected[name]]
        np.testing.assert_allclose(values, wanted, atol=1e-6, err_msg=name)
    assert found.mean_ap == pytest.approx(mean(expected["ap"]), abs=1e-6)
    assert found.mean_ap_at_r == pytest.approx(mean(expected["ap_at_r"]), abs=1e-6)
    assert found.r_precision == pytest.approx(mean(expected["rp"]), abs=1e-6)
    for k in ks:
        assert found.cmc[k] == pytest.approx(mean(expected[f"cmc{k}"]), abs=1e-6)
        assert found.precision[k] == pytest.approx(mean(expected[f"p{k}"]), abs=1e-6)
    assert found.num_skipped == sum(value is None for value in expected["first"])
    assert found.num_queries + found.num_skipped == len(query)
    np.testing.assert_allclose(found.precision_at_recall, curve, atol=1e-6)
    assert found.cmc_curve.shape == (50,)
    assert found.cmc_curve[0] == pytest.approx(np.mean([v == 1 for v in expected["first"] if v is not None]))
    return found


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("seed", range(3))
def test_random_disjoint(distance, seed):
    check(*random_case(seed), distance=distance)


@pytest.mark.parametrize("distance", DISTANCES)
def test_self_retrieval_removes_the_item_by_identity(distance):
    query, labels, _, _ = random_case(3, num_query=30)
    names = np.array([f"image-{i}" for i in range(30)])
    order = np.random.default_rng(0).permutation(30)
    check(query, labels, query[order], labels[order], names, names[order], distance)


def test_self_retrieval_across_models_where_the_item_itself_is_not_nearest():
    query, labels, _, _ = random_case(4, num_query=25)
    check(query, labels, -query, labels, np.arange(25), np.arange(25), "dot")


@pytest.mark.parametrize("distance", DISTANCES)
def test_negative_scores_only(distance):
    query, query_labels, gallery, gallery_labels = random_case(5)
    check(np.abs(query), query_labels, -np.abs(gallery), gallery_labels, distance=distance)


@pytest.mark.parametrize("distance", ["l2", "dot"])
@pytest.mark.parametrize("seed", range(4))
def test_exact_ties_on_a_grid_rank_in_gallery_order(distance, seed):
    query, query_labels, gallery, gallery_labels = random_case(seed, dim=3)
    check(np.round(query), query_labels, np.round(gallery), gallery_labels, distance=distance)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("dim", [3, 8, 37, 128])
@pytest.mark.parametrize("num_gallery", [33, 130, 257])
def test_duplicated_vectors_tie_bit_for_bit(distance, dim, num_gallery):
    """A plain matrix product scores equal columns one rounding apart near the matrix's edge."""
    query, query_labels, gallery, gallery_labels = random_case(6, 5, num_gallery, dim, classes=3)
    order = np.random.default_rng(1).permutation(num_gallery)
    half = num_gallery // 2
    gallery[order[:half]] = gallery[order[half : 2 * half]]
    check(query, query_labels, gallery, gallery_labels, distance=distance)


@pytest.mark.parametrize("distance", DISTANCES)
def test_everything_ties(distance):
    gallery_labels = np.array([0, 1, 1, 0, 2])
    found = check(np.ones((3, 4)), np.array([0, 1, 2]), np.ones((5, 4)), gallery_labels, distance=distance)
    assert found.per_query.first_hit_rank.tolist() == [1, 2, 5]


def test_minus_zero_ties_with_zero():
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    gallery = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, -1.0]], dtype=np.float32)
    assert check(query, [1], gallery, [0, 0, 1], distance="dot").per_query.first_hit_rank.tolist() == [3]


def test_queries_without_a_match_are_skipped_and_counted():
    query, query_labels, gallery, gallery_labels = random_case(7)
    query_labels[::3] = 99
    assert check(query, query_labels, gallery, gallery_labels).num_skipped == 6


def test_a_query_whose_only_match_is_itself_is_skipped():
    query = np.eye(4, dtype=np.float32)
    found = check(query, np.array([0, 0, 1, 1]), query[:3], np.array([0, 0, 1]), np.arange(4), np.arange(3))
    assert found.per_query.valid.tolist() == [True, True, False, True]


def test_gallery_smaller_than_k():
    query, query_labels, _, _ = random_case(8, classes=2)
    found = check(query, query_labels, query[:4], query_labels[:4], ks=(1, 5, 100))
    assert found.cmc[100] == 1.0


def test_repeated_ids_exclude_every_copy():
    query, query_labels, gallery, gallery_labels = random_case(9)
    check(query, query_labels, gallery, gallery_labels, np.arange(17) % 5, np.arange(41) % 7)


@pytest.mark.parametrize("distance", DISTANCES)
def test_very_uneven_classes(distance):
    query, _, gallery, _ = random_case(10, 12, 90)
    labels = np.where(np.arange(90) < 80, 0, np.arange(90))
    check(query, np.array([0, 80, 81] * 4), gallery, labels, distance=distance)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("block_rows", [1, 7, 10_000])
def test_block_rows_change_nothing(distance, block_rows):
    query, query_labels, gallery, gallery_labels = random_case(11, 61, 203, 24, classes=9)
    args = (query, query_labels, gallery, gallery_labels)
    one = evaluate_retrieval(*args, distance=distance, device="cpu", curves=True)
    two = evaluate_retrieval(*args, distance=distance, device="cpu", curves=True, block_rows=block_rows)
    for name, values in one.columns().items():
        np.testing.assert_array_equal(values, two.columns()[name])
    np.testing.assert_array_equal(one.precision_at_recall, two.precision_at_recall)
    assert one.chance == two.chance


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_counting_and_sorting_agree(share, monkeypatch):
    """Both ways to rank, forced in turn: sorting whole rows always, and never."""
    monkeypatch.setattr(ranking_module, "SORT_SHARE", share)
    query, query_labels, gallery, gallery_labels = random_case(12, dim=2)
    check(np.round(query), query_labels, np.round(gallery), gallery_labels, distance="l2")
    check(query, query_labels, gallery, gallery_labels)


def test_one_outlier_does_not_confuse_the_buckets():
    query, query_labels, gallery, gallery_labels = random_case(13)
    gallery[5] *= 1e6
    check(query, query_labels, gallery, gallery_labels, distance="dot")


def test_l2_far_from_the_origin():
    """‖q‖² − 2q·g + ‖g‖² loses everything in float32 unless the vectors are centred first."""
    query, query_labels, gallery, gallery_labels = random_case(14, dim=16)
    near = evaluate_retrieval(query, query_labels, gallery, gallery_labels, distance="l2", device="cpu")
    shift = np.float32(1024)
    query, gallery = (np.round(part * 64) / 64 for part in (query, gallery))  # exact after the shift
    check(query + shift, query_labels, gallery + shift, gallery_labels, distance="l2")
    assert near.num_queries == 17


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, ">f4"])
def test_other_number_types(dtype):
    query, query_labels, gallery, gallery_labels = random_case(15)
    query, gallery = (query * 20).astype(dtype), (gallery * 20).astype(dtype)
    check(query, query_labels, gallery, gallery_labels, distance="dot")


def test_torch_and_numpy_agree_and_bfloat16_is_accepted():
    case = random_case(16)
    one = evaluate_retrieval(*case, device="cpu")
    two = evaluate_retrieval(*[torch.from_numpy(part) for part in case], device="cpu")
    assert one.cmc == two.cmc and one.mean_ap == two.mean_ap
    query = torch.from_numpy(case[0]).bfloat16().requires_grad_()
    assert evaluate_retrieval(query, *case[1:], device="cpu").mean_ap == pytest.approx(one.mean_ap, abs=0.05)


def test_text_labels_lists_and_read_only_arrays():
    query, query_labels, gallery, gallery_labels = random_case(17)
    gallery.flags.writeable = False
    one = evaluate_retrieval(query, query_labels, gallery, gallery_labels, device="cpu")
    two = evaluate_retrieval(
        query.tolist(), [f"c{x}" for x in query_labels], gallery, [f"c{x}" for x in gallery_labels], device="cpu"
    )
    assert one.mean_ap == two.mean_ap


def test_autocast_and_low_matmul_precision_do_not_leak_in():
    case = random_case(18, dim=64)
    expected = evaluate_retrieval(*case, device="cpu")
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = evaluate_retrieval(*case, device="cpu")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(found.per_query.average_precision, expected.per_query.average_precision)


def test_cosine_ignores_length_even_tiny_and_huge():
    query, query_labels, gallery, gallery_labels = random_case(19)
    one = evaluate_retrieval(query, query_labels, gallery, gallery_labels, device="cpu")
    two = evaluate_retrieval(query * 2.0**-110, query_labels, gallery * 2.0**100, gallery_labels, device="cpu")
    assert one.mean_ap == two.mean_ap


def test_zero_vectors_count_as_cosine_zero_and_are_reported():
    query = np.array([[1.0, 0.0], [0.0, 0.0]])
    gallery = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    found = check(query, [7, 7], gallery, [7, 8, 7])
    assert found.num_zero_vectors == 2
    assert check(query, [7, 7], gallery, [7, 8, 7], distance="dot").num_zero_vectors == 0


def test_average_precision_agrees_with_scikit_learn():
    query, query_labels, gallery, gallery_labels = random_case(20, 20, 200, 16, classes=10)
    found = evaluate_retrieval(query, query_labels, gallery, gallery_labels, distance="dot", device="cpu")
    scores = query.astype(np.float64) @ gallery.astype(np.float64).T
    expected = [
        average_precision_score(gallery_labels == label, row) for label, row in zip(query_labels, scores, strict=True)
    ]
    np.testing.assert_allclose(found.per_query.average_precision, expected, atol=1e-9)


def test_rotation_and_gallery_order_do_not_matter_without_ties():
    query, query_labels, gallery, gallery_labels = random_case(21)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))
    order = np.random.default_rng(1).permutation(41)
    one = evaluate_retrieval(query, query_labels, gallery, gallery_labels, device="cpu")
    two = evaluate_retrieval(query @ turn, query_labels, (gallery @ turn)[order], gallery_labels[order], device="cpu")
    np.testing.assert_allclose(one.per_query.average_precision, two.per_query.average_precision, atol=1e-12)


def good():
    query, query_labels, gallery, gallery_labels = random_case(22)
    return {
        "query_emb": query,
        "query_labels": query_labels,
        "gallery_emb": gallery,
        "gallery_labels": gallery_labels,
        "device": "cpu",
    }


def with_nan(array, rows):
    array = array.copy()
    array[rows, 1] = np.nan
    return array


BAD = {
    "length": (lambda a: {"query_labels": a["query_labels"][:-1]}, "query_labels: 16 entries.*17"),
    "nan": (lambda a: {"gallery_emb": with_nan(a["gallery_emb"], [4, 9])}, "in 2 of 41 rows, first in row 4"),
    "beyond float32": (lambda a: {"query_emb": a["query_emb"].astype(float) * 1e300}, "finite in float32"),
    "one dimension": (lambda a: {"query_emb": a["query_emb"][0]}, "two dimensions"),
    "other dimension": (lambda a: {"query_emb": a["query_emb"][:, :3]}, "3 and 5 dimensions"),
    "empty": (lambda a: {"gallery_emb": a["gallery_emb"][:0]}, "at least one"),
    "object": (lambda a: {"query_emb": a["query_emb"].astype(object)}, "real numbers"),
    "complex": (lambda a: {"query_emb": torch.ones(17, 5, dtype=torch.complex64)}, "real"),
    "ragged": (lambda a: {"query_emb": [[1.0], [1.0, 2.0]]}, "query_emb"),
    "overflow": (lambda a: {"query_emb": a["query_emb"] * 1e37, "distance": "dot"}, "within float32"),
    "no match": (lambda a: {"query_labels": a["query_labels"] + 100}, "none of 17 queries"),
    "label kinds": (lambda a: {"query_labels": [str(x) for x in a["query_labels"]]}, "both must be texts"),
    "labels beyond int64": (
        lambda a: {"gallery_labels": a["gallery_labels"].astype(np.uint64) + np.uint64(2**63)},
        r"int64 and uint64; numbers of 2\^63 or more on one side only",
    ),
    "blank labels": (lambda a: {"query_labels": ["", " ", *"a" * 15]}, "query_labels: 2 empty, the first in row 0"),
    "label fractions": (lambda a: {"query_labels": a["query_labels"] + 0.5}, "whole numbers"),
    "label shape": (lambda a: {"query_labels": a["query_labels"][:, None]}, "one dimension"),
    "one-sided ids": (lambda a: {"query_ids": np.arange(17)}, "gallery_ids: got None"),
    "distance": (lambda a: {"distance": "cosin"}, "did you mean 'cosine'"),
    "k": (lambda a: {"ks": (0, 1)}, "ks: got"),
    "no k": (lambda a: {"ks": ()}, "ks: got"),
    "text k": (lambda a: {"ks": "15"}, "ks: got"),
    "block rows": (lambda a: {"block_rows": 0}, "block_rows"),
    "device": (lambda a: {"device": "tpu"}, "device"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case):
    change, message = BAD[case]
    args = good()
    with pytest.raises(CompatError, match=message) as caught:
        evaluate_retrieval(**(args | change(args)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("distance", DISTANCES)
def test_gpu_agrees_with_cpu(distance, gpu):
    case = random_case(23, 300, 2000, 32, classes=40)
    here = evaluate_retrieval(*case, distance=distance, device="cpu", curves=True)
    there = evaluate_retrieval(*case, distance=distance, device=gpu, curves=True)
    assert there.mean_ap == pytest.approx(here.mean_ap, abs=1e-4)
    np.testing.assert_allclose(there.precision_at_recall, here.precision_at_recall, atol=1e-3)
    grid = [np.round(part) if part.dtype.kind == "f" else part for part in case]
    here, there = (evaluate_retrieval(*grid, distance="dot", device=device) for device in ("cpu", gpu))
    np.testing.assert_array_equal(there.per_query.first_hit_rank, here.per_query.first_hit_rank)
    np.testing.assert_array_equal(there.per_query.r_precision, here.per_query.r_precision)
    # of the same ranks, added up in another order
    np.testing.assert_allclose(there.per_query.average_precision, here.per_query.average_precision, rtol=1e-13)
    ranks = [
        relevant_ranks(
            prepare(torch.from_numpy(grid[0]), torch.from_numpy(grid[2]), "dot", torch.device(device)),
            relate(grid[1], grid[3], None),
        )
        for device in ("cpu", gpu)
    ]
    for cpu_ranks, gpu_ranks in zip(*ranks, strict=True):
        np.testing.assert_array_equal(gpu_ranks, cpu_ranks)
