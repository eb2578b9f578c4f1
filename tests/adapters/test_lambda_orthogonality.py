import math

import numpy as np
import pytest
import torch

from compat_core.adapters import ADAPTERS, Pairs
from compat_core.adapters.labels import named_apart
from compat_core.adapters.lambda_orthogonality import contrastive_loss, lambda_penalty, orthogonality_gap
from tests.adapters.views import cosines, mapped, orthogonal, two_views

ENTRY = ADAPTERS.get("lambda-orthogonality")


def test_gap_in_closed_cases():
    assert float(orthogonality_gap(torch.eye(4))) == pytest.approx(0, abs=1e-5)
    assert float(orthogonality_gap(torch.zeros(4, 4))) == pytest.approx(2)  # ‖−I‖ of 4 dimensions
    assert float(orthogonality_gap(2 * torch.eye(5, 3))) == pytest.approx(3 * math.sqrt(3))
    assert float(orthogonality_gap(2 * torch.eye(3, 5))) == pytest.approx(3 * math.sqrt(3))


def test_penalty_in_closed_cases():
    weight = 2 * torch.eye(3)  # gap 3·√3
    gap = 3 * math.sqrt(3)
    assert float(lambda_penalty(weight, gap, 10.0)) == pytest.approx(gap / 2)
    assert float(lambda_penalty(weight, 0.0, 10.0)) == pytest.approx(gap)
    assert float(lambda_penalty(weight, gap + 2, 10.0)) == pytest.approx(gap / (1 + math.exp(20)), rel=1e-3)


def test_contrastive_equals_a_naive_loop():
    rng = np.random.default_rng(0)
    left, right, labels = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), np.array([0, 1, 0, 2, 1, 0])
    total = 0.0
    for i in range(6):
        exps = [math.exp(cosines(left[i : i + 1], right[j : j + 1])[0] / 0.2) for j in range(6)]
        same = [j for j in range(6) if labels[j] == labels[i]]
        total -= sum(math.log(exps[j] / sum(exps)) for j in same) / len(same)
    found = contrastive_loss(torch.tensor(left), torch.tensor(right), torch.tensor(labels), 0.2)
    assert float(found) == pytest.approx(total / 6)


@pytest.mark.parametrize("form", ["relaxed", "strict"])
@pytest.mark.parametrize("reflect", [False, True])
def test_rotated_copies_are_recovered(form, reflect):
    turn = orthogonal(8)
    if (np.linalg.det(turn) < 0) != reflect:
        turn[:, 0] *= -1
    x = np.random.default_rng(0).normal(size=(300, 8))
    config = ENTRY.config(form=form, steps=60, contrast=0.0)
    fitted = ENTRY.fit(Pairs(x, x @ turn), config)
    assert cosines(mapped(fitted, x), x @ turn).min() > 1 - 1e-5


def gap_of(pairs, **params):
    config = ENTRY.config(steps=300, batch_size=200, lr=1e-2, held_out=0.0, contrast=1.0, **params)
    return float(orthogonality_gap(ENTRY.fit(pairs, config).matrix()))


def test_slack_bounds_how_far_the_map_leaves_the_rotations():
    pairs = two_views(source_dim=9, target_dim=9)
    tight, loose, free = (gap_of(pairs, slack=slack, penalty=5.0) for slack in (0.05, 0.5, 100.0))
    assert tight < 0.05 * 3 + 0.3 and loose < 0.5 * 3 + 0.3  # λ = slack · √9
    assert 2 * tight < loose < free / 2


@pytest.mark.parametrize(("source_dim", "target_dim"), [(9, 9), (12, 9), (9, 12)])
def test_strict_stays_semi_orthogonal_while_it_learns(source_dim, target_dim):
    pairs = two_views(source_dim=source_dim, target_dim=target_dim)
    assert gap_of(pairs, form="strict") < 1e-4
    config = ENTRY.config(form="strict", steps=100, lr=1e-2, held_out=0.0, contrast=1.0)
    start = ENTRY.config(form="strict", steps=1, lr=0.0, held_out=0.0)
    moved = ENTRY.fit(pairs, config).matrix() - ENTRY.fit(pairs, start).matrix()
    assert moved.abs().max() > 0.01


def test_starts_at_procrustes():
    for dims in ((9, 9), (12, 9), (9, 12)):
        pairs = two_views(source_dim=dims[0], target_dim=dims[1])
        procrustes = ADAPTERS.get("procrustes-centred")
        expected = mapped(procrustes.fit(pairs, procrustes.config(normalise=True)), pairs.source)
        for form in ("relaxed", "strict"):
            fitted = ENTRY.fit(pairs, ENTRY.config(form=form, steps=1, lr=0.0, held_out=0.0))
            np.testing.assert_allclose(mapped(fitted, pairs.source), expected, atol=1e-5)


def test_the_contrastive_term_draws_classes_together():
    pairs = two_views(count=300, source_dim=9, target_dim=9, noise=0.4)
    values = []
    for contrast in (0.0, 1.0):
        config = ENTRY.config(steps=300, lr=1e-2, contrast=contrast, slack=1.0)
        out = mapped(ENTRY.fit(pairs, config), pairs.source)
        values.append(contrastive_loss(*(torch.tensor(v) for v in (out, pairs.target, pairs.labels)), 0.1))
    assert values[1] < values[0] - 0.02


def test_without_labels_the_term_is_left_out():
    pairs = two_views()
    unlabelled = Pairs(pairs.source, pairs.target)
    default, without = (
        mapped(ENTRY.fit(unlabelled, ENTRY.config(steps=20, **params)), pairs.source)
        for params in ({}, {"contrast": 0.0})
    )
    np.testing.assert_array_equal(default, without)


def test_pairs_without_a_label_take_no_part_in_the_contrastive_term():
    """Of all pairs there is nothing to contrast; of some of them it draws the map as their labels say."""
    pairs = two_views(source_dim=9, target_dim=9)
    params = {"steps": 20, "lr": 1e-2, "held_out": 0.0}
    none = Pairs(pairs.source, pairs.target, named_apart(np.zeros(len(pairs), dtype=bool), pairs.labels[:0]))
    without = ENTRY.fit(pairs, ENTRY.config(**params, contrast=0.0))
    np.testing.assert_allclose(
        mapped(ENTRY.fit(none, ENTRY.config(**params, contrast=1.0)), pairs.source),
        mapped(without, pairs.source), atol=1e-6,
    )  # fmt: skip
    some = Pairs(pairs.source, pairs.target, named_apart(np.arange(len(pairs)) % 2 == 0, pairs.labels[::2]))
    drawn = mapped(ENTRY.fit(some, ENTRY.config(**params, contrast=1.0)), pairs.source)
    assert np.abs(drawn - mapped(without, pairs.source)).max() > 1e-3
