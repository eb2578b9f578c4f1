"""Everything that is looked at before a decision or a fit: vectors, judgements, and the split that ``decide`` makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from compat_core.errors import CompatError
from compat_core.vectors.alignment import misaligned_rows
from compat_core.vectors.checks import SEE_CHECK, STOP, WARN, Finding, check_vectors, leakage, worst_first
from compat_core.vectors.decision import split_of
from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.given import Given
from compat_core.vectors.judgements import check_judgements
from compat_core.vectors.matching import MatchedVectors

LONG = 20_000_000  # numbers in both files together: seconds to look at
Judgements = dict[str, dict[str, float]]  # query id -> item id -> relevance


def inspect(
    pair: MatchedVectors, judged: Judgements | None = None, tell: Callable[[str], None] = lambda text: None
) -> list[Finding]:
    """What can be seen of matched vectors, and of judgements about them, without fitting or searching; worst first.

    ``tell`` hears what is being looked at where that takes a while.
    """
    heard = tell if pair.old.size + pair.new.size > LONG else lambda text: None
    looked = check_vectors(pair.old, pair.new, pair.labels, pair.ids, heard)
    found = [*pair.findings, *looked]
    if not any(finding.severity == STOP for finding in found):
        found += misaligned_rows(pair.old, pair.new)
    return worst_first(found if judged is None else [*found, *check_judgements(judged, pair.ids)])


def inspect_split(pair: MatchedVectors, judged: Judgements | None = None, seed: int = 0) -> list[Finding]:
    """Near-identical items on both sides of the split that ``decide`` would make with its usual settings."""
    given = Given(pair.old, pair.new, pair.labels, pair.ids, judged)
    try:
        split = split_of(given, DecisionConfig(seed=seed))
    except CompatError as error:  # fit-map and migrate make no split
        return [Finding(WARN, "split", f"decide would refuse: {error}")]
    return leakage(pair.old[split.fit], pair.old[split.judged])


def refuse(findings: Iterable[Finding]) -> None:
    """Raise CompatError for the first finding that makes every later number wrong."""
    for finding in findings:
        if finding.severity == STOP:
            raise CompatError("vectors", rule=finding.sentence, fix=SEE_CHECK)
