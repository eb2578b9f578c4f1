"""Pictures of items from arrays and from paths, and which queries they are kept for."""

import io

import numpy as np
import pytest
from PIL import Image

from compat_core.errors import CompatError
from compat_core.vectors.pictures import (
    ItemPictures,
    enlarged,
    lost_queries,
    open_pictures,
    read_thumbnails,
    write_thumbnails,
)

PIXELS = np.arange(5 * 8 * 6, dtype=np.uint8).reshape(5, 8, 6)
FOUND = {  # three queries, items 4, 3 and 1, under the status quo and one other option
    "options": np.array(["status quo", "naive swap"]),
    "queries": np.array([4, 3, 1]),
    "top_1": np.array([[1, 1, 0], [0, 0, 1]], dtype=np.float64),
    "first_item": np.array([[0, 1, 2], [2, 2, 3]]),
    "average_precision": np.array([[0.9, 0.9, 0.1], [0.5, 0.2, 0.8]]),
}


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


@pytest.mark.parametrize("array", [PIXELS.astype(np.float32), np.zeros((5, 8, 6, 4), np.uint8), np.zeros(5, np.uint8)])
def test_what_is_no_picture(tmp_path, array):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(CompatError, match="uint8"):
        open_pictures(tmp_path / "images.npy")


def test_lost_queries_are_kept_as_pictures_with_captions(tmp_path):
    lost = lost_queries(FOUND, "naive swap")
    assert lost["query"].tolist() == [3, 4]  # the larger loss first; the third query was won
    unread = write_thumbnails(
        tmp_path, ItemPictures(lambda row: None if row == 2 else Image.fromarray(PIXELS[row]), "item {}".format), FOUND
    )
    assert unread == 1
    kept = read_thumbnails(tmp_path, [0, 1, 2, 3, 4])
    assert sorted(kept) == [0, 1, 3, 4] and kept[3].caption == "item 3"
    large = Image.open(io.BytesIO(enlarged(kept[3].png)))
    assert large.size == (48, 64) and np.array_equal(np.asarray(large)[::8, ::8], PIXELS[3])
    assert read_thumbnails(tmp_path / "elsewhere", [1]) == {}
