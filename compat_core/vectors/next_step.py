"""What to do once an option was decided on: the commands that carry out the very map that was judged, step by step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compat_core.adapters import ADAPTERS
from compat_core.spec import Spec
from compat_core.vectors.backfill_list import ORDER_FILE
from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.file_spec import FileSpec
from compat_core.vectors.options import CEILING, MERGE, SLERP, order_of

FORWARD, BACKWARD, JOINED = " old→new", " new→old", " + "
PAIR = ("old", "new", "labels", "ids", "new-ids")  # options of decide that a fit takes too
TRIED = 1_000  # queries that a printed search asks: all rows against all rows may take hours

Config = Mapping[str, Any]  # DecisionConfig as decision.json holds it


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        say: what it is for, in one sentence.
        words: the command line after ``compat_core``; empty where no command of this program does it.
    """

    say: str
    words: list[str]


def migration(option: str, files: Mapping[str, str], config: Config, map_folder: Path, out: Path) -> list[str]:
    """The words after ``compat_core`` that fit the judged map again and migrate the old vectors with it.

    Args:
        option: an option's name, such as ``ridge old→new``, with what is backfilled beside it or not.
        files: option of ``decide`` -> file; ``old`` and ``new`` among them.
        config: of the decision; its pairs, judged items, steps and seed decide which map it is.
        map_folder, out: where the map and the new vectors go.
    """
    adapter, _, more = option.partition(JOINED)[0].partition(FORWARD)
    side = bool(more) and "side" in files
    beside = ["--vectors-side", files["side"]] if side else []
    return [
        "migrate", "--map", str(map_folder), *_fit(adapter, config), *_pair(files, side), "--vectors", files["old"],
        *beside, "--out", str(out),
    ]  # fmt: skip


def next_steps(
    option: str,
    files: Mapping[str, str],
    folder: Path,
    config: Config,
    listed: Mapping[str, Any] | None = None,
    rows: Sequence[Mapping[str, Any]] = (),
) -> list[Step]:
    """What carries an option out, in order; nothing where nothing is to be done, or an option was made elsewhere.

    Args:
        option: the name of one, or empty.
        files, config: as for :func:`migration`.
        folder: where the map and the new vectors go.
        listed: of :func:`~compat_core.vectors.backfill_list.write_order`, or None.
        rows: of the decision as decision.json holds them; the option's summary says what was chosen for it.
    """
    if not {"old", "new"} <= set(files):
        return []
    if FORWARD in option:
        words = migration(option, files, config, folder / "map", folder / "migrated.npy")
        first = Step("Fit the map that was judged, on the same pairs, and migrate the old vectors:", words)
        return [first, *_backfill(option, folder, listed)]
    if BACKWARD in option:
        return _mapped_queries(option.partition(BACKWARD)[0], files, folder, config)
    summary = next((str(row["summary"]) for row in rows if row["name"] == option), "")
    return [Step(say, []) for say in _by_hand(option, summary)]


def _by_hand(option: str, summary: str) -> list[str]:
    """What no command of this program does, in words."""
    if option == CEILING:
        return ["Embed every item again with the new model, then move the queries to it; nothing is mapped."]
    if option == SLERP:
        way = re.search(r"\((\S+) of the way\)", summary)
        share = f"{way[1]} of the angle" if way else "the share of the angle that the option's summary names"
        return [
            "Fit a procrustes map new → old, and keep both models for queries: map each query's new vector, and turn "
            f"its old one towards it by {share}. The gallery stays."
        ]
    merged = re.match(rf"{MERGE} (\w+), (\d+) % backfilled$", option)
    if merged:
        return [
            f"Embed {merged[2]} % of the items with the new model, and keep both models for queries: search each part "
            f"with its own model's query, and merge the two lists by {merged[1]}."
        ]
    return []


def _backfill(option: str, folder: Path, listed: Mapping[str, Any] | None) -> list[Step]:
    """What is embedded again beside the migrated rows, where something is."""
    order, share = order_of(option), re.search(r" \+ (\d+) % backfilled", option)
    if not share:
        return []
    if listed is None or listed["order"] != order:
        return [Step(f"Then embed {share[1]} % of the items with the new model, in {order} order.", [])]
    count = round(int(share[1]) / 100 * listed["rows"])
    say = (
        f"Then embed the items of rank 1 to {count:,} in {folder / ORDER_FILE} with the new model ({share[1]} % of "
        f"{listed['rows']:,}, in {order} order), and put their vectors in place of the migrated rows of these numbers."
    )
    return [Step(say, [])]


def in_document(steps: Sequence[Step]) -> dict[str, Any]:
    """``next``, the words of the first step, and ``steps``, all of them, as decision.json holds them."""
    return {"next": steps[0].words if steps else [], "steps": [asdict(step) for step in steps]}


def _mapped_queries(adapter: str, files: Mapping[str, str], folder: Path, config: Config) -> list[Step]:
    """Fit new → old, map queries with it, and search the old vectors, which stay as they are."""
    map_folder, queries = folder / "map", folder / "queries-in-old.npy"
    distance = [] if config["distance"] == "cosine" else ["--distance", str(config["distance"])]
    fit = ["fit-map", *_pair(files, side=False), *_fit(adapter, config), "--to-old", "--out", str(map_folder)]
    mapped = ["migrate", "--map", str(map_folder), "--vectors", files["new"], "--out", str(queries)]
    few = ["--first", str(TRIED)]
    search = ["mixed-search", "--query", str(queries), "--part", f"old={FileSpec.parse(files['old'])}", *distance, *few]
    return [
        Step("Fit the map that was judged, new → old, on the same pairs:", fit),
        Step("Map every query of the new model with it, here the rows of the new file:", mapped),
        Step(
            f"Search the old vectors, which stay as they are, with mapped queries, here the first {TRIED:,} of them:",
            search,
        ),
    ]


def _pair(files: Mapping[str, str], side: bool) -> list[str]:
    names = [*PAIR, *(["side"] if side else [])]
    return [word for name in names if name in files for word in (f"--{name}", files[name])]


def _fit(adapter: str, config: Config) -> list[str]:
    """The options that fit the judged map and no other: its adapter and steps, and the pairs it was fitted on."""
    entry = ADAPTERS.get(adapter)
    capped = entry.defaults(int(config["steps"]))
    changed = {"steps": capped.steps} if capped != entry.config() else {}
    judged = [] if config["judged"] == DecisionConfig().judged else ["--judged", str(config["judged"])]
    seed = ["--seed", str(config["seed"])] if config["seed"] else []
    return ["--adapter", Spec(adapter, changed).text, "--pairs", str(config["pairs"]), *judged, *seed]
