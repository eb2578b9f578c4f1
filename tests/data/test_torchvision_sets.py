"""The public data sets, read by torchvision's own classes from tiny files made here in each one's layout.

Only the checks of the archives' checksums and the downloads are replaced; the network is never touched.
"""

from __future__ import annotations

import pickle
import struct
import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from compat_core.data import DATASETS, DataConfig, Dataset, load_dataset
from compat_core.data.torchvision_sets import _PUBLIC, data_dir
from compat_core.errors import CompatError

NAMES = [entry.about.name for entry in _PUBLIC]


def nothing(*_: object, **__: object) -> None:
    """Stands in for a download that is not needed."""


def yes(*_: object, **__: object) -> bool:
    """Stands in for the check of a checksum."""
    return True


def picture(path: Path, value: int, mode: str = "RGB", size: tuple[int, int] = (90, 70)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).convert(mode).save(path)


def make_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    cls = datasets.CIFAR10 if kind == "cifar10" else datasets.CIFAR100
    monkeypatch.setattr(cls, "_check_integrity", yes)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", yes)
    folder = root / cls.base_folder
    folder.mkdir(parents=True)
    count = 10 if kind == "cifar10" else 100
    key = "labels" if kind == "cifar10" else "fine_labels"
    for number, (name, _) in enumerate([*cls.train_list, *cls.test_list]):
        labels = list(range(count)) * 2
        pixels = np.zeros((len(labels), 3, 32, 32), dtype=np.uint8)
        pixels[:, 0] = np.array(labels)[:, None, None]  # red tells the class, green the file
        pixels[:, 1] = number
        (folder / name).write_bytes(pickle.dumps({"data": pixels.reshape(len(labels), -1), key: labels}))
    names = [f"name {index:03d}" for index in reversed(range(count))]  # unsorted, to be renumbered
    (folder / cls.meta["filename"]).write_bytes(pickle.dumps({cls.meta["key"]: names}))


def make_mnist(root: Path, cls: type[datasets.MNIST]) -> None:
    folder = root / cls.__name__ / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = np.zeros((count, 28, 28), dtype=np.uint8) + 20 * labels[:, None, None]
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + pixels.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())


def make_omniglot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.Omniglot, "_check_integrity", yes)
    for part, alphabets in (("images_background", ("Latin", "Greek")), ("images_evaluation", ("Angelic", "Tengwar"))):
        for alphabet in alphabets:
            for character in ("character01", "character02"):
                for index in range(3):
                    path = root / "omniglot-py" / part / alphabet / character / f"{index}.png"
                    picture(path, 255, "1", (105, 105))


def make_flowers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    monkeypatch.setattr(datasets.Flowers102, "_check_integrity", yes)
    folder = root / "flowers-102"
    labels = np.tile(np.arange(1, 5), 6)  # from 1, as in the original
    for number, label in enumerate(labels, 1):
        picture(folder / "jpg" / f"image_{number:05d}.jpg", 50 * label)
    savemat(folder / "imagelabels.mat", {"labels": labels})
    savemat(folder / "setid.mat", {"trnid": np.arange(1, 5), "valid": np.arange(5, 9), "tstid": np.arange(9, 25)})


def make_pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for split, numbers in (("trainval", range(3)), ("test", range(3, 6))):
        lines = []
        for label, breed in enumerate(("Abyssinian", "beagle", "Maine_Coon"), 1):
            for number in numbers:
                picture(folder / "images" / f"{breed}_{number}.jpg", 50 * label)
                lines.append(f"{breed}_{number} {label} 1 1\n")
        (folder / "annotations" / f"{split}.txt").write_text("".join(lines))


def make_caltech(root: Path) -> None:
    for number, name in enumerate(("BACKGROUND_Google", "Faces", "airplanes", "yin_yang")):
        for index in range(1, 9):
            mode = "L" if index == 1 else "RGB"  # some of Caltech's photographs are grey
            picture(root / "caltech101" / "101_ObjectCategories" / name / f"image_{index:04d}.jpg", 60 * number, mode)


@pytest.fixture
def fake(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """``fake("mnist")`` writes a tiny MNIST into the data folder."""
    for cls, method in (
        (datasets.CIFAR10, "download"),
        (datasets.MNIST, "download"),
        (datasets.Omniglot, "download"),
        (datasets.Flowers102, "download"),
        (datasets.OxfordIIITPet, "_download"),
        (datasets.Caltech101, "download"),
    ):
        monkeypatch.setattr(cls, method, nothing)

    def make(name: str) -> Path:
        root = data_dir()
        assert root == own_cache / "data"
        if name.startswith("cifar"):
            make_cifar(root, monkeypatch, name)
        elif name in ("mnist", "fashion-mnist"):
            make_mnist(root, datasets.MNIST if name == "mnist" else datasets.FashionMNIST)
        elif name in ("omniglot", "flowers102"):
            (make_omniglot if name == "omniglot" else make_flowers)(root, monkeypatch)
        else:
            (make_pets if name == "oxford-pets" else make_caltech)(root)
        return root

    return make


def load(name: str, **options: object) -> Dataset:
    return load_dataset(DataConfig(dataset=name, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(fake: Callable[[str], Path], name: str) -> None:
    fake(name)
    data = load(name)
    classes = 10 if name == "cifar10" else 100
    train_files = 5 if name == "cifar10" else 1
    assert (len(data.train), len(data.test)) == (2 * classes * train_files, 2 * classes)
    assert data.train.images.shape[1:] == (3, 32, 32)
    assert (data.split, data.augment) == ("given", "crop-flip")
    assert data.train.class_names == tuple(sorted(data.train.class_names))
    assert (data.train.images[:, 0, 0, 0].numpy() == classes - 1 - data.train.labels.numpy()).all()
    assert set(data.test.images[:, 1].unique().tolist()) == {train_files}  # the file of the test part
    assert data.train.ids[0] == "train/00000"
    assert load(name, image_size=8, train_limit=classes).train.images.shape == (classes, 3, 8, 8)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_mnist(fake: Callable[[str], Path], name: str) -> None:
    fake(name)
    data = load(name)
    assert (len(data.train), len(data.test)) == (40, 20)
    assert data.train.images.shape[1:] == (1, 32, 32)
    assert data.train.class_names == tuple(sorted(data.train.class_names))
    original = (datasets.MNIST if name == "mnist" else datasets.FashionMNIST).classes
    for index in range(10):
        value = int(data.train.images[index, 0, 16, 16]) // 20
        assert data.train.class_names[int(data.train.labels[index])] == original[value]
    assert any("28 px to 32 px" in note for note in data.notes)
    assert load(name, image_size=28).train.size == 28
    assert data.augment == ("crop" if name == "mnist" else "crop-flip")


def test_omniglot(fake: Callable[[str], Path]) -> None:
    fake("omniglot")
    data = load("omniglot")
    assert (len(data.train), len(data.test)) == (12, 12)
    assert data.open_set
    assert data.train.num_classes == 8
    assert data.train.class_names[0] == "Angelic/character01"
    assert {data.train.class_names[label].split("/")[0] for label in data.train.present} == {"Latin", "Greek"}
    assert data.train.images.shape[1:] == (1, 32, 32)
    assert int(data.train.images.min()) == 255
    assert len(set(data.train.ids) | set(data.test.ids)) == 24


def test_flowers102(fake: Callable[[str], Path]) -> None:
    fake("flowers102")
    data = load("flowers102")
    assert (len(data.train), len(data.test)) == (8, 16)  # training and validation parts together
    assert data.train.images.shape[1:] == (3, 64, 64)
    names = tuple(getattr(datasets.Flowers102, "classes", ()))[:4] or tuple(f"flower {i:03d}" for i in range(1, 5))
    for part in (data.train, data.test):
        for image, label in zip(part.images, part.labels, strict=True):
            value = round(float(image.float().mean()) / 50)
            assert part.class_names[int(label)] == names[value - 1]


def test_oxford_pets(fake: Callable[[str], Path]) -> None:
    fake("oxford-pets")
    data = load("oxford-pets", image_size=16)
    assert (len(data.train), len(data.test)) == (9, 9)
    assert data.train.images.shape[1:] == (3, 16, 16)
    assert data.train.class_names == ("Abyssinian", "Beagle", "Maine Coon")
    assert "beagle_3.jpg" in data.test.ids


def test_caltech101(fake: Callable[[str], Path]) -> None:
    root = fake("caltech101")
    data = load("caltech101")
    assert (len(data.train), len(data.test), data.split) == (18, 6, "instances")
    assert data.train.class_names == ("Faces", "airplanes", "yin_yang")  # without the background
    assert data.train.images.shape[1:] == (3, 64, 64)
    with pytest.raises(CompatError, match="no split of its own"):
        load("caltech101", eval_split="given")
    (root / "caltech101" / "101_ObjectCategories" / "Faces" / "image_0002.jpg").write_text("no image")
    assert any("Faces/image_0002.jpg (not an image" in note for note in load("caltech101").notes)


def test_a_hole_in_the_numbering_is_reported(fake: Callable[[str], Path]) -> None:
    root = fake("caltech101")
    folder = root / "caltech101" / "101_ObjectCategories" / "Faces"
    (folder / "image_0003.jpg").rename(folder / "image_0100.jpg")
    assert any("image_0003.jpg (no such file" in note for note in load("caltech101").notes)


@pytest.mark.parametrize("name", NAMES)
def test_offline_says_what_to_do(name: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(CompatError) as caught:
        load(name)
    line = str(caught.value)
    assert line.startswith(f"data set {name}: is not in {own_cache / 'data'} and could not be downloaded")
    assert "Name or service not known" in line
    assert "by hand" in line and "digits or folder:PATH" in line


@pytest.mark.parametrize(
    "error",
    [RuntimeError("File not found or corrupted."), OSError(28, "No space left on device"), TimeoutError("timed out")],
)
def test_other_failures_of_a_download(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def fail(*_: object, **__: object) -> None:
        assert socket.getdefaulttimeout() == 30
        raise error

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    with pytest.raises(CompatError, match=r"data set cifar10.*could not be downloaded"):
        load("cifar10")
    assert socket.getdefaulttimeout() is None


def test_registered() -> None:
    assert set(NAMES) <= set(DATASETS.names())
    assert data_dir().name == "data"
