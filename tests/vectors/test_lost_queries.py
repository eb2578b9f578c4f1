"""Which queries an upgrade loses, and the small pictures that are kept of them."""

import io

import numpy as np
from PIL import Image

from compat_core.vectors.lost_queries import enlarged, lost_queries, read_thumbnails, write_thumbnails
from compat_core.vectors.pictures import ItemPictures

PIXELS = np.arange(5 * 8 * 6, dtype=np.uint8).reshape(5, 8, 6)
FOUND = {  # three queries, items 4, 3 and 1, under the status quo and one other option
    "options": np.array(["status quo", "naive swap"]),
    "queries": np.array([4, 3, 1]),
    "top_1": np.array([[1, 1, 0], [0, 0, 1]], dtype=np.float64),
    "first_item": np.array([[0, 1, 2], [2, 2, 3]]),
    "average_precision": np.array([[0.9, 0.9, 0.1], [0.5, 0.2, 0.8]]),
}


def test_lost_queries_are_called_by_id_and_label_where_items_have_them():
    called = FOUND | {
        "judged": np.array([0, 1, 2, 3, 4]),
        "ids": np.array(list("abcde")),
        "labels": np.array(list("xxyyx")),
    }
    lost = lost_queries(called, "naive swap")
    assert lost["query_id"].tolist() == ["d", "e"] and lost["first_now_id"].tolist() == ["c", "c"]
    assert lost["query_label"].tolist() == ["y", "x"] and lost["first_before_label"].tolist() == ["x", "x"]
    assert not [column for column in lost_queries(FOUND, "naive swap") if column.endswith(("_id", "_label"))]


def test_lost_queries_are_kept_as_pictures_with_captions(tmp_path):
    lost = lost_queries(FOUND, "naive swap")
    assert lost["query"].tolist() == [3, 4]  # the larger loss first; the third query was won
    (unread,) = write_thumbnails(
        tmp_path, ItemPictures(lambda row: None if row == 2 else Image.fromarray(PIXELS[row]), "item {}".format), FOUND
    )
    assert unread.sentence == "1 of 5 pictures could not be shown: missing or unreadable" and unread.rows == (2,)
    kept = read_thumbnails(tmp_path, [0, 1, 2, 3, 4])
    assert sorted(kept) == [0, 1, 3, 4] and kept[3].caption == "item 3"
    large = Image.open(io.BytesIO(enlarged(kept[3].png)))
    assert large.size == (48, 64) and np.array_equal(np.asarray(large)[::8, ::8], PIXELS[3])
    assert read_thumbnails(tmp_path / "elsewhere", [1]) == {}
