"""Judgements that do not belong to the vectors are told before anything is judged by them."""

import numpy as np

from compat_core.vectors.checks import INFO, STOP, WARN
from compat_core.vectors.judgements import check_judgements

IDS = np.array(["a", "b", "c", "d"])


def found(judged, ids=IDS):
    return [(finding.severity, finding.sentence) for finding in check_judgements(judged, ids)]


def test_complete_judgements_only_say_how_many_can_query():
    assert found({"a": {"b": 1, "c": 0}, "b": {"a": 2}, "c": {"d": 0}}) == [
        (INFO, "2 of 4 items can query: they have a relevant item among the vectors")
    ]


def test_missing_queries_and_items_are_counted_and_named():
    severities = found({"a": {"b": 1, "x": 1}, "y": {"a": 1}})
    assert severities[:2] == [
        (WARN, "1 of 2 judged queries (50.0 %) are not among the ids: y"),
        (WARN, "1 of 3 relevant items (33.3 %) are not among the ids: x"),
    ]
    assert severities[2][0] == INFO


def test_what_nobody_judged_relevant_need_not_be_there():
    assert [severity for severity, _ in found({"a": {"b": 1, "x": 0}})] == [INFO]


def test_judgements_of_other_items_are_refused():
    (severity, sentence), *rest = found({f"q{number}": {"r": 1} for number in range(9)})
    assert severity == STOP and not rest
    assert "q0, q1, q2 …" in sentence and "the vectors a, b, c" in sentence
    assert found({"a": {"x": 1}})[0][0] == STOP, "the query is there, nothing that answers it is"
    assert found({"a": {"b": 1}}, None)[0][0] == STOP
