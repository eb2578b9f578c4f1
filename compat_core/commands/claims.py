"""``claims``: the papers' statements, and what finished runs say about them."""

from __future__ import annotations

import argparse
import sys

from compat_core.commands.console import print_json, print_paragraph
from compat_core.commands.parser import Subparsers, add_runs_dir
from compat_core.errors import CompatError
from compat_core.experiments.store import RunStore


def add(commands: Subparsers) -> None:
    """Add the command of this module."""
    claims = commands.add_parser(
        "claims",
        help="the papers' claims against runs",
        description="Put every published claim to finished runs: holds, does not hold, undecided or not tested. "
        "--list says which claims there are.",
    )
    claims.add_argument("run", metavar="RUN", nargs="*", help="ids of the runs")
    claims.add_argument("--list", action="store_true", help="list the claims, each with its source; takes no run")
    claims.add_argument("--json", action="store_true", help="as JSON, with intervals, seeds and sources")
    add_runs_dir(claims)
    claims.set_defaults(handler=_claims)


def _claims(arguments: argparse.Namespace) -> int:
    from compat_core.reports.claims import CLAIMS, answer
    from compat_core.reports.frames import change_text

    if arguments.list == bool(arguments.run):
        rule = "needs the ids of finished runs, or --list" if not arguments.run else "takes runs or --list, not both"
        raise CompatError("claims", rule=rule, fix="see: python -m compat_core runs")
    if arguments.list:
        return _list(arguments.json)
    store = RunStore(arguments.runs_dir)
    runs = [store.get(name) for name in arguments.run]
    if all(run.has_damaged_results() for run in runs):
        runs[0].results()  # says what is wrong
    for run in runs:  # of several, a damaged one is left out by name
        if not run.has_damaged_results() and run.results() is None:
            raise CompatError("run", value=run.id, rule=f"has no results, it is {run.status.state}", fix="resume it")
    answers = [answer(claim, runs) for claim in CLAIMS]
    for sentence in dict.fromkeys(sentence for one in answers for sentence in one.passed_over):
        print(sentence, file=sys.stderr)
    if arguments.json:
        print_json([one.to_dict() for one in answers])
        return 0
    for one in answers:
        print(f"{one.outcome.upper():14} {one.claim.statement}")
        print(f"{'':14} {one.claim.source}")
        if not one.findings and one.claim.takes:
            print(f"{'':14} it takes {one.claim.takes}")
        for finding in one.findings:
            value = change_text(finding.value, finding.ci_low, finding.ci_high)
            print(f"{'':14} {finding.outcome}: {finding.what} = {value} points; {finding.budget}; {finding.run}")
    return 0


def _list(as_json: bool) -> int:
    from compat_core.reports.claims import CLAIMS

    if as_json:
        print_json([claim.to_dict() for claim in CLAIMS])
        return 0
    for claim in CLAIMS:
        print(claim.name)
        for text in (claim.statement, claim.source, f"refuted by: {claim.refuted_by}"):
            print_paragraph(text)
    return 0
