"""The bundled digits, and what load_dataset makes of a spec."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from compat_core.data import DATASETS, DataConfig, Dataset, load_dataset
from compat_core.errors import CompatError


def test_digits() -> None:
    data = load_dataset(DataConfig(), 0)
    assert data.name == data.spec == "digits"
    assert len(data.train) + len(data.test) == 1797
    assert data.train.images.shape[1:] == (1, 8, 8)
    assert (int(data.train.images.min()), int(data.train.images.max())) == (0, 255)
    assert data.train.class_names == tuple("0123456789")
    assert not set(data.train.ids) & set(data.test.ids)
    assert (data.split, data.augment, data.open_set) == ("instances", "crop", False)
    share = np.bincount(data.test.labels) / (np.bincount(data.test.labels) + np.bincount(data.train.labels))
    assert np.abs(share - 0.25).max() < 0.01


def test_images_and_labels_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    bunch, data = load_digits(), load_dataset(DataConfig())
    for part in (data.train, data.test):
        rows = part.ids.astype(int)
        assert np.abs(part.images[:, 0].numpy() / 255 * 16 - bunch.images[rows]).max() < 0.05
        assert (part.labels.numpy() == bunch.target[rows]).all()


def test_the_seed_changes_no_image() -> None:
    assert load_dataset(DataConfig(), 0).checksum() == load_dataset(DataConfig(), 7).checksum()


def test_options() -> None:
    data = load_dataset(DataConfig(image_size=16, train_limit=100, test_limit=50, augment="none"))
    assert (len(data.train), len(data.test), data.train.size, data.augment) == (100, 50, 16, "none")
    assert np.bincount(data.train.labels).tolist() == [10] * 10
    assert any("8 px to 16 px" in note for note in data.notes)
    open_set = load_dataset(DataConfig(eval_split="classes"))
    assert open_set.open_set
    assert open_set.test.present.tolist() == [7, 8, 9]
    with pytest.raises(CompatError, match="no split of its own"):
        load_dataset(DataConfig(eval_split="given"))


def test_progress_is_told() -> None:
    calls: list[tuple[int, int]] = []
    load_dataset(DataConfig(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1797, 1797)]


def test_resizing_keeps_a_constant_image() -> None:
    from compat_core.data.assemble import resized

    images = torch.full((2, 3, 10, 10), 77, dtype=torch.uint8)
    for size in (5, 10, 23):
        assert torch.equal(resized(images, size), torch.full((2, 3, size, size), 77, dtype=torch.uint8))


def test_a_data_set_of_one_s_own_may_take_something_behind_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def load(config: DataConfig, progress: object = None) -> Dataset:
        seen.append(config.dataset)
        return load_dataset(DataConfig())

    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    DATASETS.add(dataclasses.replace(DATASETS.get("digits"), name="manifest", load=load, takes="FILE.csv"))
    load_dataset(DataConfig(dataset="manifest:/photos/all.csv"))
    assert seen == ["manifest:/photos/all.csv"]


def test_specs_that_name_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompatError, match="did you mean 'digits'"):
        load_dataset(DataConfig(dataset="digit"))
    with pytest.raises(CompatError, match="takes no 'x'"):
        load_dataset(DataConfig(dataset="digits:x"))
    with pytest.raises(CompatError, match="write folder:PATH"):
        load_dataset(DataConfig(dataset="folder"))
    with pytest.raises(CompatError, match="write folder:PATH"):
        load_dataset(DataConfig(dataset="folder:"))
    with pytest.raises(CompatError, match=r"is a folder.*write folder:"):
        load_dataset(DataConfig(dataset=str(tmp_path)))


def test_every_entry_is_described_and_tested() -> None:
    here = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for entry in DATASETS:
        assert entry.title and entry.summary.endswith(".") and entry.source
        assert f'"{entry.name}"' in here or f"{entry.name}:" in here, f"data set {entry.name} has no test"
    assert DATASETS.names()[:2] == ("digits", "folder")
    assert DATASETS.get("digits").offline
    assert not DATASETS.get("cifar10").offline
