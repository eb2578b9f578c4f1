"""Runs that claims are put to: one that is none, and one without its ranked lists."""

import shutil

from compat_core.experiments.files import write_json
from compat_core.experiments.presets import configure
from compat_core.experiments.results import RESULTS_FILE
from compat_core.experiments.store import RunStore


class Whole:
    """A folder in which nothing is missing."""

    def __truediv__(self, name):
        return self

    def is_dir(self):
        return True


class FakeRun:
    id = "fake"
    path = Whole()
    config = configure("demo")

    def results(self):
        return {"dataset_card": {"name": "toy", "train_images": 1234}}


def without_rankings(run, tmp_path, size=None):
    """A copy of the run without its ranked lists; ``size`` is how many queries each class is then said to have."""
    shutil.copytree(run.path, tmp_path / "slim", ignore=shutil.ignore_patterns("rankings"))
    slim = RunStore(tmp_path).get("slim")
    results = slim.results()
    for row in results["per_class"]:
        row["num_queries"] = size or row["num_queries"]
    write_json(slim.path / RESULTS_FILE, results)
    return slim
