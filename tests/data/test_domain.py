"""Domain shift and the biased old model."""

import numpy as np
import pytest
import torch
from PIL import Image

from compat_core.data import load_dataset
from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.data.splits import biased_classes, old_subset


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("3", "4", "zebra"):
        (tmp_path / name).mkdir()
        for index in range(8):
            pixels = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    return tmp_path


def test_training_images_stay_and_evaluation_images_are_the_others(photos):
    plain = load_dataset(DataConfig())
    shifted = load_dataset(DataConfig(eval_dataset=f"folder:{photos}"))
    assert torch.equal(shifted.train.images, plain.train.images)
    assert shifted.test.channels == 1
    assert shifted.test.size == 8
    assert shifted.test.class_names == (*"0123456789", "zebra")
    assert {shifted.test.class_names[label] for label in shifted.test.labels} == {"3", "4", "zebra"}
    assert any("domain shift" in note for note in shifted.notes)


def test_unreadable_files_of_both_data_sets_are_kept(photos):
    (photos / "3" / "bad.png").write_text("no image")
    shifted = load_dataset(DataConfig(dataset=f"folder:{photos}", eval_dataset=f"folder:{photos}"))
    assert [file for file, _ in shifted.unreadable] == ["3/bad.png", f"{photos.name}: 3/bad.png"]


def test_grey_images_become_three_equal_channels(photos):
    shifted = load_dataset(DataConfig(dataset=f"folder:{photos}", eval_dataset="digits"))
    assert shifted.test.channels == 3
    assert torch.equal(shifted.test.images[:, 0], shifted.test.images[:, 2])


def test_biased_old_model_sees_little_of_its_last_classes():
    labels = np.repeat(np.arange(10), 20)
    scenario = ScenarioConfig(old_classes=0.8, biased_classes=0.25, biased_images=0.1)
    counts = np.bincount(labels[old_subset(labels, scenario, 0)], minlength=10)
    assert counts.tolist() == [20] * 6 + [2] * 2 + [0] * 2
    assert biased_classes(np.arange(8), scenario).tolist() == [6, 7]
