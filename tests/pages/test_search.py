"""Search: the query in sight, every upload safe, and what each list gained and lost."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from compat_core.experiments.query import LISTS, QuerySession
from compat_core.training.embedding import embed


def texts(app):
    elements = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(str(element.value) for element in elements)


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(mode="RGB", size=(60, 40)):
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(0).integers(0, 90, shape, dtype=np.uint8), mode)


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(), "JPEG", exif=exif)


GOOD = {
    "photo.jpg": lambda: encoded(noise(), "JPEG"),
    "rotated.jpg": rotated,
    "glass.png": lambda: encoded(noise("RGBA"), "PNG"),
    "scan.tif": lambda: encoded(noise("L"), "TIFF"),
    "moving.gif": lambda: encoded(noise("L"), "GIF"),
    "tiny.bmp": lambda: encoded(noise("L", (1, 1)), "BMP"),
    "deep-grey.png": lambda: encoded(Image.new("I;16", (300, 300), 5000), "PNG"),
    "banner.png": lambda: encoded(noise("RGB", (3000, 2)), "PNG"),
    "pillar.png": lambda: encoded(noise("RGB", (3, 1000)), "PNG"),
    "wrong-name.png": lambda: encoded(noise(), "JPEG"),
}


@pytest.fixture
def session(finished):
    (run,) = finished.list()
    return QuerySession(run, 0, "fct")


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_picture_is_a_query(name, finished, visit):
    app = visit("search")
    app.file_uploader(key="query-file").upload(name, GOOD[name](), "image/png").run()
    assert not app.exception, app.exception
    assert not app.error
    assert "✓" not in texts(app) and "✗" not in texts(app), "an upload has no class until one is chosen"
    assert "Remove the upload" in texts(app)


def test_removing_the_upload_brings_the_picked_item_back(finished, visit):
    app = visit("search")
    assert "It is left out of every list" in texts(app)
    app.selectbox(key="pick-class").set_value(4).run()
    assert "Query: 4 ·" in texts(app)
    app.file_uploader(key="query-file").upload("photo.jpg", GOOD["photo.jpg"](), "image/jpeg").run()
    assert "Query: 4 ·" not in texts(app)
    app.file_uploader(key="query-file").clear().run()
    assert not app.exception
    assert "Query: 4 ·" in texts(app), "the choice was kept"


def test_a_link_holds_the_query_and_how_it_is_searched(finished, visit):
    app = visit("search", **{"pick-class": "4", "pick-item-4": "3", "index": "exact"})
    assert app.selectbox(key="pick-class").value == 4 and app.number_input(key="pick-item-4").value == 3
    first = visit("search", **{"pick-class": "4"})
    queries = [next(text for text in texts(one).splitlines() if text.startswith("Query: 4")) for one in (app, first)]
    assert queries[0] != queries[1]
    assert app.number_input(key="pick-item-4").proto.query_param_key == "pick-item-4", "the browser writes it"
    pytest.importorskip("faiss", reason="faiss is not installed")
    assert visit("search", index="hnsw").selectbox(key="index-choice").value == "hnsw"


def test_a_light_picture_in_a_dark_gallery_is_pointed_out(finished, visit):
    app = visit("search")
    paper = Image.new("L", (30, 30), 250)
    paper.paste(20, (12, 4, 18, 26))
    app.file_uploader(key="query-file").upload("paper.png", encoded(paper, "PNG"), "image/png")
    app.run()
    assert "polarity" in texts(app) and "one colour" not in texts(app)


def test_a_picture_of_one_colour_is_not_searched_with(finished, visit):
    """What is drawn in the transparency of a white picture alone is gone once that is shown on white."""
    drawn = Image.new("RGBA", (30, 30), (255, 255, 255, 0))
    drawn.paste((255, 255, 255, 255), (12, 4, 18, 26))
    app = visit("search")
    app.file_uploader(key="query-file").upload("drawn.png", encoded(drawn, "PNG"), "image/png")
    app.run()
    assert "one colour all over" in texts(app) and "polarity" not in texts(app)
    assert not [caption for caption in app.caption if "· ▲" in caption.value], "and no hits"


def test_lists_say_what_moved_what_was_gained_and_lost(finished, visit):
    app = visit("search")
    app.slider(key="hits").set_value(12).run()
    (changes,) = [frame.value for frame in app.dataframe if "gained" in frame.value.columns]
    assert (changes["kept"] + changes["lost"] == 12).all()
    assert (changes["gained"] == changes["lost"]).all(), "all lists are equally long"
    shown = sum("◇ gained" in caption.value for caption in app.caption if "· ▲" in caption.value)
    assert shown == changes["gained"].sum()
    assert ("no longer among the first 12" in texts(app)) == bool(changes["lost"].sum())


def test_one_search_per_view(finished, visit, monkeypatch):
    counts = []
    real = QuerySession.search
    app = visit("search")  # loads the models, which warms them up with a search

    def counted(self, image, k, *rest):
        counts.append(k)
        return real(self, image, k, *rest)

    monkeypatch.setattr(QuerySession, "search", counted)
    app.slider(key="hits").set_value(5).run()
    assert counts == [100]


@pytest.mark.parametrize(("search_s", "timed"), [(0.001, 5), (0.03, 2), (0.2, 1)])
def test_a_slow_search_is_timed_once_and_never_on_its_first_call(search_s, timed, session, monkeypatch):
    readings, before = [], []

    def embedded(*arguments):
        before.append(len(readings))
        return embed(*arguments)

    def clock():
        readings.append(search_s * len(readings))
        return readings[-1]

    monkeypatch.setattr("compat_core.experiments.query.time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr("compat_core.experiments.query.embed", embedded)
    lists = session.search(session.stored_image(0), 10, 0.0)
    assert len(readings) == 2 * timed * len(LISTS)
    assert len(before) == (1 + timed) * len(LISTS), "one search of each list warms up"
    assert [count % 2 for count in before] == ([0] + [1] * timed) * len(LISTS), "outside the clock, the others within"
    assert [found.seconds for found in lists.values()] == pytest.approx([search_s] * len(LISTS))


def test_an_approximate_index_says_its_measured_recall(finished, visit):
    pytest.importorskip("faiss", reason="faiss is not installed")
    app = visit("search")
    app.selectbox(key="index-choice").set_value("hnsw").run()
    assert not app.exception and not app.error and app.query_params["index"] == "hnsw"
    assert any("measured recall@8" in caption.value for caption in app.caption)


def test_going_back_to_a_smaller_share_undoes_the_backfill(session):
    image = session.stored_image(0)
    before = session.search(image, 20, 0.2)["method"]
    session.search(image, 20, 0.9)
    after = session.search(image, 20, 0.2)["method"]
    np.testing.assert_array_equal(before.rows, after.rows)
    assert before.versions == after.versions


def test_a_shorter_list_is_the_beginning_of_a_longer_one(session):
    image = session.stored_image(3)
    long, short = session.search(image, 30, 0.5, 3), session.search(image, 7, 0.5, 3)
    for name in LISTS:
        assert long[name].first(7).rows.tolist() == short[name].rows.tolist()
        assert long[name].first(7).versions == short[name].versions
        assert 3 not in long[name].rows


def test_lists_agree_with_the_rankings_of_the_run(session):
    """The page must show what was measured: same query map, same gallery, same order."""
    cells = {"old/old": "old/old", "method": "new/migrated", "new/new": "new/new"}
    for row in (0, 17, 40):
        lists = session.search(session.stored_image(row), 10, 0.0, row)
        for name, cell in cells.items():
            measured = session.files.ranking(0, "fct", cell)["scores"][row][:10]
            np.testing.assert_allclose(lists[name].scores, measured, atol=1e-4)


def test_versions_follow_the_share(session):
    image = session.stored_image(3)
    assert set(session.search(image, 50, 0.0)["method"].versions) == {"migrated"}
    assert set(session.search(image, 50, 1.0)["method"].versions) == {"new"}
    assert (
        session.search(image, 50, 1.0)["method"].rows.tolist()
        == session.search(image, 50, 0.0)["new/new"].rows.tolist()
    )
