import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics import METRICS, evaluate_retrieval, resolve

NAMES = ("CMC@1", "CMC@5", "CMC@10", "mAP", "mAP@R", "R-precision", "precision@10")


def test_the_catalogue_is_what_files_and_pages_expect():
    assert METRICS.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_entry_is_documented(name):
    entry = METRICS.get(name)
    for text in (entry.title, entry.formula, entry.help, entry.reference):
        assert len(text) > 5
    assert entry.low < entry.high and entry.direction in (-1, 1) and entry.version >= 1
    assert entry.synonyms


def perfect():
    labels = np.repeat(np.arange(4), 12)
    vectors = np.eye(4)[labels]
    return evaluate_retrieval(np.eye(4), np.arange(4), vectors, labels, device="cpu")


def worst():
    labels = np.repeat([0, 1], [30, 1])
    vectors = np.where(labels[:, None] == 0, [[1.0, 0.0]], [[-1.0, 0.0]])
    return evaluate_retrieval(np.array([[1.0, 0.0]]), [1], vectors, labels, device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_range_and_direction(name):
    entry = METRICS.get(name)
    assert entry.value(perfect()) == pytest.approx(entry.high)
    assert entry.low <= entry.value(worst()) < 0.05
    assert entry.direction == 1


@pytest.mark.parametrize("name", NAMES)
def test_value_is_the_mean_over_valid_queries_and_skipped_are_nan(name):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 30)
    scores = evaluate_retrieval(rng.normal(size=(30, 3)), labels, rng.normal(size=(50, 3)), rng.integers(0, 3, 50))
    entry = METRICS.get(name)
    values = entry.per_query(scores)
    assert values.shape == (30,) and values.dtype == np.float64
    assert (np.isnan(values) == (labels == 3)).all()
    assert entry.value(scores) == pytest.approx(np.nanmean(values))
    assert entry.value(scores) == pytest.approx(np.nanmean(scores.columns()[name]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("exclude", [False, True])
def test_chance_lies_inside_a_monte_carlo_interval(name, exclude):
    """Random vectors rank a gallery in random order, so that the mean over many queries estimates chance."""
    rng = np.random.default_rng(2)
    num_query, num_gallery = 12_000, 23
    gallery_labels = np.repeat([0, 1, 2], [1, 4, 18])
    labels = rng.integers(0, 3, num_query)
    # Scores of a random query against the identity are its own coordinates: an unbiased random ranking.
    ids = (rng.integers(0, 60, num_query), np.arange(num_gallery)) if exclude else (None, None)
    scores = evaluate_retrieval(
        rng.normal(size=(num_query, num_gallery)), labels, np.eye(num_gallery), gallery_labels, *ids, distance="dot"
    )
    values = METRICS.get(name).per_query(scores)[scores.per_query.valid]
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - scores.chance[name]) < 4 * error


def test_chance_in_closed_cases():
    scores = evaluate_retrieval(np.eye(2)[:1], [1], np.eye(2), [0, 1], device="cpu")
    assert scores.chance["CMC@1"] == pytest.approx(0.5)
    assert scores.chance["CMC@5"] == pytest.approx(1.0)
    assert scores.chance["mAP"] == pytest.approx(0.75)  # rank 1 or 2: (1 + 1/2) / 2


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("top-1", "CMC@1"), ("Recall@1", "CMC@1"), ("RANK-1", "CMC@1"), ("map", "mAP"), ("MAP@R", "mAP@R"),
     ("cmc@10", "CMC@10"), (" P@10 ", "precision@10"), ("r-precision", "R-precision")],
)  # fmt: skip
def test_resolve(spelling, name):
    assert resolve(spelling).name == name


def test_resolve_suggests():
    with pytest.raises(CompatError, match="did you mean"):
        resolve("recal@1")


def test_synonyms_are_unambiguous():
    spellings = [text.lower() for entry in METRICS for text in {entry.name.lower(), *map(str.lower, entry.synonyms)}]
    assert len(spellings) == len(set(spellings))


def test_precision_of_a_k_not_asked_for():
    scores = evaluate_retrieval(np.eye(2), [0, 1], np.eye(2), [0, 1], ks=(1,), device="cpu")
    with pytest.raises(CompatError, match="add 10 to ks"):
        METRICS.get("precision@10").value(scores)
    assert METRICS.get("CMC@10").value(scores) == 1.0
