"""Pictures of items from arrays, from paths, and from folders and archives."""

import shutil

import numpy as np
import pytest
from PIL import Image

from compat_core.errors import CompatError
from compat_core.vectors.pictures import open_pictures

PIXELS = np.arange(5 * 8 * 6, dtype=np.uint8).reshape(5, 8, 6)


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 1), (5, 1, 8, 6)])
def test_arrays_of_pictures(tmp_path, shape):
    np.save(tmp_path / "images.npy", PIXELS.reshape(shape))
    picture, count = open_pictures(tmp_path / "images.npy")
    assert count == 5 and np.array_equal(np.asarray(picture(3)), PIXELS[3])


def test_colour_in_either_order(tmp_path):
    colour = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    for name, array in (("last", colour), ("first", colour.transpose(0, 3, 1, 2))):
        np.save(tmp_path / f"{name}.npy", array)
        picture, _ = open_pictures(tmp_path / f"{name}.npy")
        assert np.array_equal(np.asarray(picture(1)), colour[1])


def test_a_column_of_paths_relative_to_its_file(tmp_path):
    (tmp_path / "shop").mkdir()
    Image.fromarray(PIXELS[0]).save(tmp_path / "shop" / "a.png")
    (tmp_path / "shop" / "b.png").write_bytes(b"no picture")
    (tmp_path / "shop" / "items.csv").write_text("path,price\na.png,1\nb.png,2\ngone.png,3\n")
    picture, count = open_pictures(f"{tmp_path / 'shop' / 'items.csv'}:path")
    assert count == 3 and picture(0).size == (6, 8)
    assert picture(1) is None and picture(2) is None


@pytest.fixture(params=["folder", "archive"])
def shelf(request, tmp_path):
    """Ten files called 1 … 10, two of them deeper, one that is no picture, and what operating systems leave behind."""
    folder = tmp_path / "shelf"
    (folder / "top").mkdir(parents=True)
    (folder / "__MACOSX").mkdir()
    for number in range(1, 11):
        where = folder / "top" if number > 8 else folder
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(where / f"{number}.png")
    for name in ("3.png", "__MACOSX/._3.png", ".hidden.png", "notes.txt"):
        (folder / name).write_bytes(b"no picture")
    if request.param == "folder":
        return folder
    return shutil.make_archive(str(folder), "zip", folder)


def test_files_by_id_wherever_they_lie(shelf):
    picture, count = open_pictures(shelf, np.array(["10", "7", "3", "gone", "top/9.png", "2.png"]))
    shown = [picture(row) for row in range(count)]
    assert [None if one is None else one.getpixel((0, 0))[0] for one in shown] == [10, 7, None, None, 9, 2]
    with pytest.raises(CompatError, match=r"no picture named after an id, such as a; its first is 1\.png"):
        open_pictures(shelf, np.array(["a", "b"]))


def test_files_in_the_order_of_their_names(shelf):
    picture, count = open_pictures(shelf)
    assert count == 10
    assert [picture(row).getpixel((0, 0))[0] for row in (0, 1, 7, 8, 9)] == [1, 2, 8, 9, 10], "numbers, not letters"


def test_two_files_of_one_name_are_refused_where_an_id_means_them(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(PIXELS[0]).save(tmp_path / folder / "x.png")
    Image.fromarray(PIXELS[1]).save(tmp_path / "y.png")
    assert open_pictures(tmp_path, np.array(["y", "z"]))[0](0) is not None
    with pytest.raises(CompatError, match="several files of that name"):
        open_pictures(tmp_path, np.array(["x"]))


def test_folders_and_archives_without_pictures(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK no")
    for name, says in (("empty", "holds no picture"), ("bad.zip", "not a zip archive")):
        with pytest.raises(CompatError, match=says):
            open_pictures(tmp_path / name)


@pytest.mark.parametrize("array", [PIXELS.astype(np.float32), np.zeros((5, 8, 6, 4), np.uint8), np.zeros(5, np.uint8)])
def test_what_is_no_picture(tmp_path, array):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(CompatError, match="uint8"):
        open_pictures(tmp_path / "images.npy")
