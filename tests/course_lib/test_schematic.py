"""Nodes and arrows: where arrows touch, what colours they have, and that nothing falls off the drawing."""

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from course_lib import data, picture, plots, schematic


def ends(ax) -> list[tuple[np.ndarray, np.ndarray]]:
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    paths = [arrow._path_original.vertices for arrow in arrows]
    return [(path[0], path[-1]) for path in paths]


def test_an_arrow_runs_from_border_to_border():
    _, ax = schematic.canvas(6, 3)
    circle = schematic.node(ax, (1, 1), "$z$", "prior", size=0.6)
    box = schematic.node(ax, (4, 1), "net", "model", shape="box", size=(1.2, 0.8))
    schematic.arrow(ax, circle, box, "decode")
    ((start, end),) = ends(ax)
    assert start == pytest.approx([1.3 + schematic.GAP, 1]) and end == pytest.approx([3.4 - schematic.GAP, 1])


@pytest.mark.parametrize("toward", [(5, 1), (1, 5), (4, 3), (-2, -3), (0.2, 4)])
def test_a_border_is_where_the_straight_line_leaves_the_shape(toward):
    for shape in ("circle", "box"):
        node = schematic.Node((1.0, 1.0), (0.5, 0.3), shape)
        x, y = (np.array(node.border(toward)) - 1) / [0.5, 0.3]
        size = np.hypot(x, y) if shape == "circle" else max(abs(x), abs(y))
        assert 1 < size < 1.3
        way = np.subtract(toward, (1, 1))
        assert np.cross([*way, 0], [x * 0.5, y * 0.3, 0])[2] == pytest.approx(0)


def test_a_bent_arrow_passes_to_the_left_and_its_text_beyond_it():
    _, ax = schematic.canvas(6, 3)
    schematic.arrow(ax, (1, 1), (3, 1), "up", bend=0.5)
    path = ax.patches[0]._path_original
    middle = path.vertices.T @ [0.25, 0.5, 0.25]  # of a parabola's three points
    assert middle == pytest.approx([2, 1.5])
    assert ax.texts[0].get_position() == pytest.approx((2, 1.66))


def test_all_text_stays_on_the_drawing():
    fig, ax = schematic.canvas(5, 2)
    z = schematic.node(ax, (1, 1), "$z$", "prior", dashed=True)
    x = schematic.picture(ax, (4, 1), data.companion_digit(device="cpu")[0], 1.0)
    schematic.arrow(ax, z, x, "decoder $p_\\theta(x \\mid z)$", "model")
    schematic.arrow(ax, x, z, "encoder", "posterior", bend=-0.5, dashed=True)
    schematic.label(ax, (1, 0.5), "hidden")
    fig.canvas.draw()
    for text in fig.findobj(Text):
        if text.get_text():
            box = text.get_window_extent()
            assert min(box.x0, box.y0) >= 0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1, text
    assert picture.render(fig)[1] == (500, 200)


def test_colours_are_those_of_the_roles():
    _, ax = schematic.canvas(2, 2)
    schematic.node(ax, (1, 1), "$x$", "data")
    assert plots.COLOR["data"].lower() == "#0072b2" and ax.patches[0].get_edgecolor()[2] == pytest.approx(0xB2 / 255)


def test_what_cannot_be_drawn_is_said():
    _, ax = schematic.canvas(2, 2)
    with pytest.raises(ValueError, match='expected "circle" or "box"'):
        schematic.node(ax, (1, 1), shape="star")
    with pytest.raises(ValueError, match="expected one of data"):
        schematic.node(ax, (1, 1), role="truth")
    with pytest.raises(ValueError, match="starts where it ends"):
        schematic.arrow(ax, (1, 1), (1, 1))
    with pytest.raises(ValueError, match="own centre"):
        schematic.node(ax, (1, 1)).border((1, 1))
