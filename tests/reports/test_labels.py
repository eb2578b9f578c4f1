"""Where the words beside points go."""

import pytest

from compat_core.reports.labels import LETTER_PX, LINE_PX, NARROW_PX, PLOT_HEIGHT_PX, Canvas, Mark, free_labels

CANVAS = Canvas((0.0, NARROW_PX), (0.0, PLOT_HEIGHT_PX))  # one unit is one pixel


def point(x, y, whisker=0.0):
    return Mark(x, y, x - whisker, x + whisker, y, y)


def box(label):
    """Left, right, bottom and top of a label."""
    middle, width = label["x"] + label["ax"], LETTER_PX * len(label["text"])
    left = middle if label["xanchor"] == "left" else middle - width
    up = label["y"] - label["ay"]
    return left, left + width, up - LINE_PX / 2, up + LINE_PX / 2


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def test_a_lonely_point_is_named_to_its_right():
    label = free_labels([point(100, 100)], {0: "fct"}, CANVAS)[0]
    assert (label["text"], label["xanchor"], label["ay"]) == ("fct", "left", 0) and label["ax"] > 0


def test_near_the_right_edge_the_name_stands_on_the_left():
    assert free_labels([point(600, 100)], {0: "a rather long name"}, CANVAS)[0]["xanchor"] == "right"


@pytest.mark.parametrize("whisker", [0.0, 60.0])
def test_names_cover_neither_each_other_nor_points_nor_whiskers_nor_lines(whisker):
    marks = [point(200 + 9 * number, 150 + 3 * number, whisker) for number in range(6)]
    lines = [CANVAS.across(150), CANVAS.upright(210)]
    labels = free_labels(marks, dict(enumerate(["independent", "bct", "bct-sys", "lwf", "l2", "lce"])), CANVAS, lines)
    boxes = [box(label) for label in labels.values()]
    assert len(boxes) >= 4
    covered = [*lines, *(part for mark in marks for part in CANVAS.covered(mark))]
    for place, one in enumerate(boxes):
        assert not any(overlap(one, other) for other in [*boxes[:place], *covered])


def test_where_there_is_no_room_the_first_asked_for_gets_it():
    marks = [point(300, 150)] * 40
    labels = free_labels(marks, {39: "chosen"} | {number: f"{number}" for number in range(39)}, CANVAS)
    assert 39 in labels and len(labels) < 40


def test_whiskers_come_from_error_bars():
    bar = {"array": [2.0], "arrayminus": [1.0]}
    assert Mark.of(10.0, 20.0, bar, None) == Mark(10.0, 20.0, 9.0, 12.0, 20.0, 20.0)
