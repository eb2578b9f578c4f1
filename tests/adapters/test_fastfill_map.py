import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from compat_core.adapters import ADAPTERS, Pairs, load_map, save_map
from compat_core.adapters.fastfill_map import UncertainMap, _HeadTraining, _Training
from compat_core.adapters.labels import NO_CLASS, class_codes, named_apart
from compat_core.adapters.training import Rows
from compat_core.errors import CompatError
from tests.adapters.views import mapped, two_views

ENTRY = ADAPTERS.get("fastfill")
TINY = {"steps": 400, "batch_size": 40, "lr": 5e-3, "width": 64, "held_out": 0.0}


def test_overfits_a_tiny_set():
    pairs = two_views(count=40)
    out = mapped(ENTRY.fit(pairs, ENTRY.config(**TINY)), pairs.source)
    assert ((out - pairs.target) ** 2).mean() / pairs.target.var() < 0.06  # the class term keeps it from 0


def test_uncertainty_orders_the_rows_by_error(tmp_path):
    """Half of the items have targets that the source says nothing of; their sign in component 0 gives them away."""
    rng = np.random.default_rng(0)

    def draw(count):
        source = rng.normal(size=(count, 6))
        hard = source[:, 0] > 0
        target = np.where(hard[:, None], rng.normal(size=(count, 5)), source[:, 1:])
        return source, target, rng.integers(0, 3, count), hard

    source, target, labels, _ = draw(600)
    fitted = ENTRY.fit(Pairs(source, target, labels), ENTRY.config(steps=300, lr=5e-3, width=64, class_weight=0.0))
    source, target, _, hard = draw(300)
    sigma = fitted.uncertainty(torch.tensor(source, dtype=torch.float32)).numpy()
    assert sigma.shape == (300,)
    assert sigma[hard].mean() > sigma[~hard].mean() + 0.3
    assert spearmanr(sigma, ((mapped(fitted, source) - target) ** 2).mean(1)).statistic > 0.4

    save_map(fitted, tmp_path / "m", {})
    again = load_map(tmp_path / "m").uncertainty(torch.tensor(source, dtype=torch.float32)).numpy()
    np.testing.assert_array_equal(again, sigma)


def test_the_class_term_draws_mapped_rows_to_their_class():
    """Targets in which the class barely shows beside a large direction without meaning."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    source = np.stack([labels * 2.0 - 1, rng.normal(size=200)], 1) + 0.1 * rng.normal(size=(200, 2))
    target = np.stack([0.3 * (labels * 2 - 1) + 0.1 * rng.normal(size=200), 3 * rng.normal(size=200)], 1)
    gaps = []
    for weight in (0.0, 3.0):
        config = ENTRY.config(steps=200, lr=5e-3, width=32, class_weight=weight, held_out=0.0)
        out = mapped(ENTRY.fit(Pairs(source, target, labels), config), source)
        gaps.append(abs(out[labels == 1, 0].mean() - out[labels == 0, 0].mean()))
    assert gaps[1] > 1.5 * gaps[0]


def test_texts_are_labels_too_and_one_class_is_not_enough():
    pairs = two_views(count=40)
    named = Pairs(pairs.source, pairs.target, [f"class {label}" for label in pairs.labels])
    config = ENTRY.config(**TINY | {"steps": 5})
    np.testing.assert_array_equal(
        mapped(ENTRY.fit(named, config), pairs.source), mapped(ENTRY.fit(pairs, config), pairs.source)
    )
    with pytest.raises(CompatError, match=r"at least two classes.*use the adapter fct"):
        ENTRY.fit(Pairs(pairs.source, pairs.target, ["a"] * 40), config)


def test_pairs_without_a_label_have_no_class_of_their_own():
    """Neither in the classifier nor in the class term: what is left is their squared error."""
    pairs = two_views(count=40)
    known = np.arange(40) % 4 == 0
    codes, num_classes = class_codes(named_apart(known, pairs.labels[known]))
    assert num_classes == len(np.unique(pairs.labels[known])) and (codes[~known] == NO_CLASS).all()

    torch.manual_seed(0)
    net = UncertainMap(pairs.source_dim, pairs.target_dim, 0, 16).eval()
    head = torch.nn.Linear(pairs.target_dim, num_classes)
    source, target = (torch.tensor(side, dtype=torch.float32) for side in (pairs.source, pairs.target))
    training = _Training.__new__(_Training)
    training.module, training.head, training.config = net, head, ENTRY.config()
    mixed = training.loss(Rows(source, target, None, torch.from_numpy(codes)))
    total = 0.0
    for row in range(40):
        mapped_row, log_variance = net.both(source[row : row + 1], None)
        item = (mapped_row - target[row]).square().mean()
        if known[row]:
            log_share = head(mapped_row).log_softmax(1)[0]
            item = item - 0.9 * log_share[codes[row]] - 0.1 * log_share.mean()
        total += float((0.5 * torch.exp(-log_variance) * item + 0.5 * log_variance).detach())
    assert float(mixed["total"].detach()) == pytest.approx(total / 40, rel=1e-4)

    learning = _HeadTraining.__new__(_HeadTraining)
    learning.module, learning.net = head, net
    some = torch.from_numpy(known)
    alone = learning.loss(Rows(source[some], target[some], None, torch.from_numpy(codes)[some]))["total"]
    among = learning.loss(Rows(source, target, None, torch.from_numpy(codes)))["total"]
    none = learning.loss(Rows(source[~some], target[~some], None, torch.from_numpy(codes)[~some]))["total"]
    assert among.item() == pytest.approx(alone.item()) and none.item() == 0


def test_one_class_among_pairs_without_a_label_is_not_enough():
    pairs = two_views(count=40)
    labels = named_apart(np.arange(40) < 20, np.zeros(20, dtype=int))
    with pytest.raises(CompatError, match="at least two classes"):
        ENTRY.fit(Pairs(pairs.source, pairs.target, labels), ENTRY.config(**TINY))
