"""Claims: judged by their intervals, refuted by one run, never answered without evidence."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from compat_core.cli import main
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.presets import configure
from compat_core.experiments.results import RESULTS_FILE
from compat_core.experiments.store import RunStore
from compat_core.reports.claims import CLAIMS, OUTCOMES, Claim, answer
from compat_core.reports.claims.measures import Difference
from compat_core.reports.evidence import Evidence, Measurement, Side
from compat_core.spec import Spec, parse_specs
from tests.reports.claimed import FakeRun, without_rankings


def claim_of(values, per_seed, **changes):
    """A claim about a difference of ``values`` by query, moved so that its mean is ``per_seed`` seed by seed."""
    gap = np.subtract(values, np.mean(values))[None] + np.asarray(per_seed, dtype=float)[:, None]
    measurement = Measurement("fake", "a − b", gap)
    return Claim("toy", "a beats b", "here", "b beats a", lambda evidence: [measurement], **changes)


@pytest.mark.parametrize(
    ("values", "per_seed", "changes", "outcome"),
    [
        ([0.1] * 50, [0.1, 0.1], {}, "holds"),
        ([-0.1] * 50, [-0.1, -0.1], {}, "does not hold"),
        ([0.0] * 50, [0.0, 0.0], {}, "does not hold"),
        ([1, -1] * 25, [0.0, 0.0], {}, "undecided"),
        ([0.1] * 50, [0.3, -0.1], {}, "undecided"),
        ([-0.1] * 50, [-0.3, 0.1], {}, "undecided"),  # the same, the other way round
        ([-0.1] * 50, [-0.3, 0.0], {}, "does not hold"),
        ([0.1] * 50, [0.1, 0.1], {"margin": 0.05}, "holds"),
        ([0.1] * 50, [0.1, 0.1], {"margin": 0.2}, "does not hold"),
        ([0.0] * 50, [0.0], {"exact": True}, "holds"),
        ([0.0] * 49 + [1e-9], [2e-11], {"exact": True}, "does not hold"),
        ([0.0] * 50, [0.5, -0.5], {"exact": True}, "does not hold"),  # no seed makes up for another
    ],
)
def test_outcome_follows_the_interval(values, per_seed, changes, outcome):
    assert answer(claim_of(values, per_seed, **changes), [FakeRun()], resamples=200).outcome == outcome


def test_a_finding_names_the_budget_it_was_made_at():
    (finding,) = answer(claim_of([0.1] * 50, [0.1]), [FakeRun()], resamples=200).findings
    assert finding.budget == "toy, tiny-conv, 20 epochs, 1,234 training images, 1 seed"


def test_one_refuting_run_is_enough_and_silence_is_not_consent():
    good, bad = claim_of([0.1] * 50, [0.1]), claim_of([-0.1] * 50, [-0.1])
    both = dataclasses.replace(good, measure=lambda evidence: [*good.measure(evidence), *bad.measure(evidence)])
    assert answer(both, [FakeRun()], resamples=200).outcome == "does not hold"
    silent = dataclasses.replace(good, measure=lambda evidence: [])
    assert answer(silent, [FakeRun()]).outcome == "not tested"


def test_what_must_hold_by_construction(run):
    outcomes = {claim.name: answer(claim, [run], resamples=500).outcome for claim in CLAIMS}
    assert set(outcomes.values()) <= set(OUTCOMES)
    assert outcomes["fct-untouched"] == "holds"
    assert outcomes["independent-incompatible"] == "holds"
    assert outcomes["lce-costs-less"] == "not tested"
    assert outcomes["relu-breaks-bct"] == "not tested"
    assert outcomes["side-information-helps"] != "not tested"


def test_a_claim_that_fails_on_a_run_is_named_and_silences_no_other_run():
    class Odd(FakeRun):
        id = "odd"

    good = claim_of([0.1] * 50, [0.1])

    def measure(evidence):
        if evidence.run.id == "odd":
            raise KeyError("no such\nkey")
        return good.measure(evidence)

    found = answer(dataclasses.replace(good, measure=measure), [Odd(), FakeRun()], resamples=200)
    assert [finding.run for finding in found.findings] == ["fake"]
    assert found.passed_over == (r"claim toy failed on run odd: KeyError: 'no such\nkey'",)


def test_a_claim_that_fails_leaves_the_others_their_say(run, capsys, monkeypatch):
    def measure(evidence):
        raise ZeroDivisionError("a bug")

    entries = {name: CLAIMS.get(name) for name in ("bct-sys-compatible", "fct-untouched")}
    entries["bct-sys-compatible"] = dataclasses.replace(entries["bct-sys-compatible"], measure=measure)
    monkeypatch.setattr(CLAIMS, "_entries", entries)
    assert main(["claims", run.id, "--runs-dir", str(run.path.parent)]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"claim bct-sys-compatible failed on run {run.id}: ZeroDivisionError: a bug\n"
    assert "NOT TESTED     BCT with" in shown.out and "HOLDS          FCT leaves" in shown.out


MISNAMED = [
    (Side("bct-sis", "new/new"), "mAP", "unknown method: got 'bct-sis'"),
    (Side("bct-sys", "new/new", {"wieght": 1.0}), "mAP", "'wieght'"),
    (Side("bct-sys", "new/new", {"rows": "old"}), "mAP", "'old'"),
    (Side("bct-sys", "new/new"), "mAPP", "unknown metric: got 'mAPP'"),
]


@pytest.mark.parametrize(("side", "metric", "said"), MISNAMED)
def test_a_claim_about_what_there_is_not_is_refused_by_name(side, metric, said):
    good = Side("bct-sys", "paragon")
    for sides in ((side, good), (good, side)):
        with pytest.raises(CompatError, match=f"claim toy: .*{said}"):
            Claim("toy", "a beats b", "here", "b beats a", Difference(*sides, (metric,), where=(lambda config: False,)))


@pytest.mark.parametrize(("side", "metric", "said"), MISNAMED)
def test_a_claim_that_names_it_when_it_is_asked_is_refused_there(side, metric, said):
    asking = (
        lambda evidence: evidence.differences(side, Side("l2", "paragon"), metric),
        lambda evidence: evidence.differences(Side("l2", "paragon"), side, metric),
        lambda evidence: evidence.backfill_differences(side.method, "oracle", "random", metric, **side.params),
        lambda evidence: evidence.mean(side, metric) or [],
    )
    for measure in asking:
        claim = Claim("toy", "a beats b", "here", "b beats a", measure)
        with pytest.raises(CompatError, match=f"claim toy: .*{said}"):
            answer(claim, [FakeRun()])


def test_every_claim_is_documented():
    for claim in CLAIMS:
        assert claim.statement.endswith(".") and claim.source and claim.refuted_by.endswith(".")


def test_command_line(run, capsys):
    root = str(run.path.parent)
    assert main(["claims", run.id, "--runs-dir", root, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in answers} == set(CLAIMS.names())
    assert main(["claims", run.id, "--runs-dir", root]) == 0
    assert "NOT TESTED" in capsys.readouterr().out
    assert main(["claims", "nope", "--runs-dir", root]) == 2


def test_a_claim_says_what_it_takes(run, capsys):
    takes = CLAIMS.get("sys-beats-beta").takes
    assert "bct-sys:rows=new,weight=1.0 and bct:weight=1.0" in takes
    assert "the new model knows classes that the old one does not" in takes
    assert main(["claims", run.id, "--runs-dir", str(run.path.parent)]) == 0
    said = capsys.readouterr().out
    assert f"it takes {CLAIMS.get('lce-costs-less').takes}" in said
    assert f"it takes {CLAIMS.get('fct-untouched').takes}\n" not in said, "it was tested"


def test_a_damaged_run_is_left_out_by_name(run, tmp_path, capsys):
    root = tmp_path / "runs"
    for name in ("whole", "broken"):
        shutil.copytree(run.path, root / name)
    (root / "broken" / RESULTS_FILE).write_text("{")
    assert main(["claims", "broken", "whole", "--runs-dir", str(root)]) == 0
    shown = capsys.readouterr()
    assert "run broken is left out" in shown.err and "HOLDS" in shown.out
    assert main(["claims", "broken", "--runs-dir", str(root)]) == 2
    assert "not valid JSON" in capsys.readouterr().err


def test_a_run_from_before_the_metrics_per_query_is_passed_over_and_named(run, monkeypatch, capsys):
    real = Artefacts.ranking

    def early(self, *place):
        return {name: array for name, array in real(self, *place).items() if name in ("indices", "scores")}

    monkeypatch.setattr(Artefacts, "ranking", early)
    claim = CLAIMS.get("bct-sys-compatible")
    silent = answer(claim, [run])
    assert (silent.outcome, silent.findings) == ("not tested", ())
    assert silent.passed_over == (f"run {run.id}: keeps no mAP per query, which claims are judged by; run it again",)
    assert answer(CLAIMS.get("lce-costs-less"), [run]).passed_over == (), "it never could speak to that"
    assert main(["claims", run.id, "--runs-dir", str(run.path.parent)]) == 0
    assert "keeps no mAP per query" in capsys.readouterr().err


def test_a_run_without_its_ranked_lists_is_judged_by_its_classes(run, tmp_path):
    slim = without_rankings(run, tmp_path, size=36)
    evidence, rows = Evidence(slim, slim.config), slim.results()["per_class"]
    by_class = evidence.values("bct-sys", "new/migrated", "mAP")
    wanted = [row["mAP"] for row in rows if (row["method"], row["cell"], row["seed"]) == ("bct-sys", "new/migrated", 1)]
    assert by_class.shape == (2, 10)
    assert by_class[1].tolist() == wanted
    (finding,) = answer(CLAIMS.get("bct-sys-compatible"), [slim]).findings
    assert finding.budget.endswith("intervals over classes")
    assert (finding.num_queries, finding.unit) == (10, "classes")
    assert finding.ci_low <= finding.value <= finding.ci_high
    assert "intervals over classes" not in Evidence(run, run.config).budget()


def test_a_copy_without_models_says_so(run, tmp_path):
    slim = Artefacts(tmp_path / "slim")
    shutil.copytree(run.path, slim.root, ignore=shutil.ignore_patterns("models", "embeddings"))
    with pytest.raises(CompatError, match="got 'l2'; this copy of the run came without its folder models; copy"):
        slim.finished_upgrade(0, "l2")
    with pytest.raises(CompatError, match="came without its folder embeddings"):
        slim.embedding(0, "l2", "new")
    with pytest.raises(CompatError, match=r"not written by this run \(yet\)"):
        slim.ranking(0, "no such method", "new/new2")
    (slim.root / RESULTS_FILE).unlink()
    with pytest.raises(CompatError, match="this run has not finished it; wait, or resume the run"):
        slim.finished_upgrade(0, "l2")


def test_classes_of_unequal_size_have_no_say(run, tmp_path):
    slim = without_rankings(run, tmp_path)
    assert len({row["num_queries"] for row in slim.results()["per_class"]}) > 1
    found = answer(CLAIMS.get("bct-sys-compatible"), [slim])
    assert found.findings == ()
    assert "no mAP of classes of equal size" in found.passed_over[0]


@pytest.mark.parametrize("lost", ["config.json", "vectors"])
def test_a_run_that_can_no_longer_be_read_leaves_the_others_their_say(run, tmp_path, lost):
    broken = tmp_path / "broken"
    shutil.copytree(run.path, broken)
    if lost == "vectors":
        for path in broken.rglob("*.npz"):
            path.unlink()
    else:
        (broken / lost).write_text('{"no_such_key": 1}')
    found = answer(CLAIMS.get("bct-sys-compatible"), [RunStore(tmp_path).get("broken"), run])
    assert {finding.run for finding in found.findings} == {run.id}
    (sentence,) = found.passed_over
    assert sentence.startswith("run broken is left out: ")


def test_a_weaker_new_model_is_recognised_by_its_results(run, monkeypatch):
    evidence = Evidence(run, run.config)
    claim = CLAIMS.get("weaker-new-drags-fct")
    assert claim.measure(evidence) == []  # here the new model is the better one
    swapped = {"old/old": "paragon", "paragon": "old/old"}
    values = Evidence.values
    monkeypatch.setattr(
        Evidence, "values", lambda self, label, cell, metric: values(self, label, swapped.get(cell, cell), metric)
    )
    first = claim.measure(evidence)[0]
    expected = values(evidence, "fct", "paragon", "mAP") - values(evidence, "fct", "new/migrated", "mAP")
    assert first.gap == pytest.approx(expected)


@pytest.mark.parametrize(
    ("distance", "error", "counts"),
    [
        ("cosine", "searched", True), ("cosine", "directions", True), ("cosine", "raw", False),
        ("l2", "searched", True), ("l2", "raw", True), ("l2", "directions", False),
    ],
)  # fmt: skip
def test_sigma_is_judged_where_it_predicts_what_is_searched(distance, error, counts, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Evidence, "backfill_differences", lambda self, *args, **params: asked.append(Side("fastfill", "", params)) or []
    )
    CLAIMS.get("sigma-beats-random").measure(Evidence(FakeRun(), FakeRun.config.replace(distance=distance)))
    assert any(side.matches(Spec("fastfill", {"error": error})) for side in asked) is counts


def asked_of(name, monkeypatch, config):
    """The sides that a claim compares in a run of ``config``; empty where it passes the run over."""
    asked = []
    monkeypatch.setattr(Evidence, "differences", lambda self, *sides: asked.extend(sides[:2]) or [])
    CLAIMS.get(name).measure(Evidence(FakeRun(), config))
    return asked


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("softmax", "normsoftmax", True), ("softmax", "triplet", True), ("softmax", "softmax", False),
        ("normsoftmax", "triplet", False), ("triplet:classifier=softmax", "arcface", True),
        ("softmax", "triplet:classifier=softmax", False),
    ],
)  # fmt: skip
def test_softmax_to_cosine_is_known_by_what_the_losses_see(old, new, broken, monkeypatch):
    config, losses = FakeRun.config, [parse_specs(text)[0] for text in (old, new)]
    config = config.replace(
        old=dataclasses.replace(config.old, loss=losses[0]), new=dataclasses.replace(config.new, loss=losses[1])
    )
    assert bool(asked_of("softmax-to-cosine-breaks-bct", monkeypatch, config)) is broken
    assert bool(asked_of("bct-compatible", monkeypatch, config)) is not broken


@pytest.mark.parametrize("name", ["independent-incompatible", "l2-fails", "lwf-fails"])
def test_models_on_one_fixed_classifier_do_not_count_as_trained_apart(name, monkeypatch):
    config, simplex = FakeRun.config, Spec("simplex", {})
    assert asked_of(name, monkeypatch, config)
    new = dataclasses.replace(config.new, loss=simplex)
    assert asked_of(name, monkeypatch, config.replace(new=new))
    old = dataclasses.replace(config.old, loss=simplex)
    assert not asked_of(name, monkeypatch, config.replace(new=new, old=old))


@pytest.mark.parametrize("name", ["bct-compatible", "l2-fails", "lwf-fails"])
def test_a_control_says_nothing_of_a_method_alone(name, monkeypatch):
    config = FakeRun.config
    weaker = dataclasses.replace(config.new.train, epochs=config.old.train.epochs - 1)
    for changes in ({"final_relu": True}, {"train": weaker}):
        control = config.replace(new=dataclasses.replace(config.new, **changes))
        assert not asked_of(name, monkeypatch, control)


@pytest.mark.parametrize("params", [{"align": 5.0}, {"boundary": 0.0}, {"form": "angle"}, {"slack": 0.1}])
def test_lce_with_other_weights_is_another_experiment(params, monkeypatch):
    (lce, _) = asked_of("lce-costs-less", monkeypatch, FakeRun.config)
    assert lce.matches(Spec("lce", {})) and not lce.matches(Spec("lce", params))


def test_a_chain_of_two_versions_has_no_two_steps(monkeypatch):
    scenario = FakeRun.config.scenario
    for chain, counts in (((0.5, 1.0), False), ((0.25, 0.5, 1.0), True)):
        config = FakeRun.config.replace(scenario=dataclasses.replace(scenario, chain=chain))
        assert bool(asked_of("chain-two-steps", monkeypatch, config)) is counts


def test_what_describes_side_information_that_is_not_there_tells_no_variants_apart():
    methods = parse_specs("fct:side=none,fct:side_epochs=12,fct:side=autoencoder,side_epochs=9,fct:epochs=9")
    evidence = Evidence(FakeRun(), configure("demo", methods=methods))
    none, simclr, autoencoder, fewer = (spec.label for spec in methods)
    sides = {kind: Side("fct", "new/migrated", {"side": kind}) for kind in ("none", "simclr", "autoencoder")}
    assert evidence._alike(simclr, none, sides["simclr"], sides["none"])
    assert not evidence._alike(simclr, autoencoder, sides["simclr"], sides["autoencoder"])  # one was trained for longer
    assert not evidence._alike(fewer, none, sides["simclr"], sides["none"])  # its map was
