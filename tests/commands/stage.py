"""What the command line is tried on: results no training made, ways a run can end, and one line of error."""

from __future__ import annotations

CELLS = {"old/old": 0.3, "new/old": 0.1, "new/migrated": 0.5, "new/new": 0.7, "paragon": 0.8}


def tidy_rows(method: str, shift: float = 0.0, seed: int = 0) -> list[dict]:
    return [
        {
            "dataset": "digits", "method": method, "seed": seed, "cell": cell, "metric": metric, "value": value + shift,
            "ci_low": value - 0.1, "ci_high": value + 0.1, "num_queries": 450,
        }
        for metric in ("mAP", "CMC@1")
        for cell, value in CELLS.items()
    ]  # fmt: skip


RESULTS = {
    "schema_version": 1,
    "dataset": "digits",
    "distance": "cosine",
    "rows": tidy_rows("bct") + tidy_rows("bct", 0.02, seed=1) + tidy_rows("fct", 0.1),
    "verdicts": [
        {"method": "bct", "seed": 0, "metric": "mAP", "outcome": "compatible"},
        {"method": "bct", "seed": 1, "metric": "mAP", "outcome": "undecided"},
        {"method": "fct", "seed": 0, "metric": "mAP", "outcome": "compatible"},
    ],
}


def failing(error: BaseException):
    def execute(run, tracker):
        raise error

    return execute


def one_error_line(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err
