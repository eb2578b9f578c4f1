"""Image files of every format, mode and size, whole and broken, read through folder:PATH."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compat_core.data import DataConfig, Dataset, load_dataset
from compat_core.data import decode as decode_module
from compat_core.data.files import scan_tree
from compat_core.errors import CompatError

MakeTree = Callable[..., Path]


def load(root: Path, **options: object) -> Dataset:
    return load_dataset(DataConfig(dataset=f"folder:{root}", **options))  # type: ignore[arg-type]


def ids(data: Dataset) -> list[str]:
    return sorted([*data.train.ids.tolist(), *data.test.ids.tolist()])


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".tif", ".TIFF", ".gif", ".ppm"])
def test_every_format(make_tree: MakeTree, suffix: str) -> None:
    data = load(make_tree({"a": 4, "b": 4}, suffix=suffix))
    assert len(ids(data)) == 8
    assert ids(data)[0].endswith(suffix)


@pytest.mark.parametrize(("mode", "suffix"), [("1", ".png"), ("L", ".jpg")])
def test_grey_stays_grey(make_tree: MakeTree, mode: str, suffix: str) -> None:
    data = load(make_tree({"a": 4, "b": 4}, mode=mode, suffix=suffix))
    assert (data.train.channels, data.augment) == (1, "crop")
    if mode == "1":
        assert set(data.train.images.unique().tolist()) == {0, 255}


def test_one_colour_image_makes_all_rgb(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4}, mode="L")
    Image.new("RGB", (12, 12), "red").save(root / "a" / "red.png")
    data = load(root)
    assert data.train.channels == 3


def test_modes_are_converted(tmp_path: Path) -> None:
    """One file per mode, all of one value that each can hold, read as that value."""
    root = tmp_path / "modes"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    Image.new("RGB", (4, 4), (10, 200, 30)).save(root / "b" / "rgb.png")
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(root / "b" / "clear.png")
    Image.new("CMYK", (4, 4), (0, 0, 0, 255)).save(root / "b" / "cmyk.jpg")
    Image.new("LA", (4, 4), (7, 255)).save(root / "a" / "la.png")
    Image.new("P", (4, 4), 0).save(root / "a" / "palette.gif")
    Image.fromarray(np.full((4, 4), 0xABCD, dtype=np.uint16)).save(root / "a" / "deep.png")
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(root / "a" / "float.tif")
    data = load(root)
    seen = {
        name.split("/")[1]: part.images[index, :, 1, 1].tolist()
        for part in (data.train, data.test)
        for index, name in enumerate(part.ids)
    }
    assert seen["rgb.png"] == [10, 200, 30]
    assert seen["clear.png"] == [255, 255, 255]
    assert max(seen["cmyk.jpg"]) < 5
    assert seen["la.png"] == [7, 7, 7]
    assert seen["deep.png"] == [0xAB] * 3
    assert any("float.tif (32-bit float" in note for note in data.notes)


def test_rotated_by_exif(tmp_path: Path) -> None:
    root = tmp_path / "exif"
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8] = 255  # white above
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: upright after a quarter turn clockwise
    Image.fromarray(pixels).save(root / "a" / "turned.png", exif=exif)
    data = load(root)
    part = data.train if "a/turned.png" in data.train.ids else data.test
    turned = part.images[part.ids.tolist().index("a/turned.png"), 0]
    assert int(turned[:, :8].max()) == 0
    assert int(turned[:, 8:].min()) == 255


def test_sizes(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree({"a": 4, "b": 4}, size=20)
    assert load(root).train.size == 20
    assert load(root, image_size=10).train.size == 10
    wide = np.zeros((30, 60, 3), dtype=np.uint8)
    wide[:, 15:45] = 255
    Image.fromarray(wide).save(root / "a" / "wide.png")
    mixed = load(root, image_size=24)
    part = mixed.train if "a/wide.png" in mixed.train.ids else mixed.test
    assert int(part.images[part.ids.tolist().index("a/wide.png")].min()) > 230  # the centre, nothing squeezed
    default = load(root)
    assert default.train.size == 64
    assert any("64 px (set image_size" in note for note in default.notes)


def test_large_squares_become_64(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4}, size=160)
    data = load(root, test_share=0.5)
    assert data.train.size == 64
    assert any("larger than 128 px" in note for note in data.notes)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def spoil(folder: Path) -> dict[str, str]:
    """One bad file of each kind in ``folder``; name → what its reason should say."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "whole.jpg").unlink()
    bad = {
        "text.png": (b"this is no image", "not an image"),
        "empty.jpg": (b"", "empty file"),
        "truncated.jpg": (whole[: len(whole) // 2], "truncated"),
        "noise.gif": (b"GIF89a" + bytes(range(40)), ""),
        "bomb.png": (png_header(40_000, 40_000), "limit"),
        "large.png": (png_header(10_000, 10_000), "over the limit"),
        "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    }
    for name, (content, _) in bad.items():
        (folder / name).write_bytes(content)
    return {name: reason for name, (_, reason) in bad.items()}


def test_bad_files_are_skipped_and_counted(make_tree: MakeTree, recwarn: pytest.WarningsRecorder) -> None:
    root = make_tree({"a": 20, "b": 20})
    clean = ids(load(root))
    bad = spoil(root / "a")
    data = load(root)
    assert ids(data) == clean
    note = next(note for note in data.notes if "unreadable" in note)
    assert note.startswith(f"{len(bad)} unreadable file(s) skipped: ")
    assert "a/" in note
    assert sorted(file for file, _ in data.unreadable) == sorted(f"a/{name}" for name in bad)
    assert all(reason for _, reason in data.unreadable)
    assert not list(recwarn)
    again = load(root)  # from the cache
    assert (again.notes, again.unreadable) == (data.notes, data.unreadable)


def test_each_kind_of_bad_file_has_its_reason(tmp_path: Path) -> None:
    from compat_core.data.files import image_file

    for name, reason in spoil(tmp_path).items():
        decoded = decode_module.decode_files([image_file(tmp_path / name, name)], 8, 3)
        assert not len(decoded.images)
        assert decoded.skipped[0][0] == name
        assert reason in decoded.skipped[0][1], decoded.skipped


def test_mostly_bad_is_an_error(make_tree: MakeTree) -> None:
    root = make_tree({"a": 3, "b": 3})
    for index in range(12):
        (root / "a" / f"bad{index}.png").write_text("no image")
    with pytest.raises(CompatError, match=r"12 of 18 files.*cannot be read as images.*bad1\.png"):
        load(root)
    with pytest.raises(CompatError, match="cannot be read"):
        load(root)


def test_a_class_of_bad_files_only(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4, "c": 4})
    for path in (root / "b").iterdir():
        path.write_text("no image")
    data = load(root)
    assert data.train.class_names == ("a", "b", "c")
    assert data.train.present.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("mode", "colour", "size", "shape"),
    [("RGB", (90, 90, 90), (60, 40), (85, 128)), ("I;16", 90 << 8, (300, 300), (128, 128)),
     ("RGBA", (90, 90, 90, 255), (3000, 2), (1, 128)), ("L", 90, (2, 3000), (128, 1)), ("L", 90, (1, 1), (128, 128))],
)  # fmt: skip
def test_a_preview_is_the_whole_picture_in_8_bits(
    mode: str, colour: int | tuple[int, ...], size: tuple[int, int], shape: tuple[int, int]
) -> None:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    preview = decode_module.preview_upload(file.getvalue(), 128)
    assert preview.shape == (*shape, 3) and preview.dtype == np.uint8
    assert (preview == 90).all()


def test_small_files_are_left_to_one_thread_and_large_ones_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module.os, "sched_getaffinity", lambda process: set(range(32)), raising=False)
    python = decode_module._interpreted()
    assert decode_module._threads(math.inf) == 16  # none of the first could be read: nothing is known
    assert [decode_module._threads(share * python) for share in (0.0, 0.5, 1.9, 2.1, 7.5, 100.0)] == [1, 1, 1, 2, 7, 16]
    assert 1e-6 < python < 1e-2


def test_threads_change_nothing(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a": 150, "b": 150}, size=20)
    for name in ("a/broken.png", "b/broken.png"):
        (root / name).write_bytes(b"no picture")
    files = [file for found in scan_tree(root).train.values() for file in found]
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(decode_module, "_threads", lambda seconds, threads=threads: threads)
        told: list[int] = []
        decoded = decode_module.decode_files(files, 20, 3, lambda done, total, told=told: told.append(done))
        assert told[0] == decode_module._TIMED and told == sorted(told) and told[-1] == len(files) == 302
        found.append(decoded)
    one, four = found
    assert np.array_equal(one.images, four.images) and np.array_equal(one.kept, four.kept)
    assert one.skipped == four.skipped and len(one.skipped) == 2 and len(one.images) == 300


def test_what_cannot_be_read_says_nothing_of_the_others(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a": 20, "b": 20}, size=64)
    for name in range(16):
        (root / "a" / f"-{name:02}.png").write_bytes(b"")
    asked: list[float] = []
    monkeypatch.setattr(decode_module, "_threads", lambda seconds: asked.append(seconds) or 1)
    files = [file for found in scan_tree(root).train.values() for file in found]
    decode_module.decode_files(files, 64, 3)
    decode_module.decode_files(files[8:], 64, 3)
    assert asked[0] == math.inf and 0 < asked[1] < 1


def test_no_files_give_nothing() -> None:
    told: list[int] = []
    decoded = decode_module.decode_files([], 8, 3, lambda done, total: told.append(done))
    assert decoded.images.shape == (0, 3, 8, 8) and not told
