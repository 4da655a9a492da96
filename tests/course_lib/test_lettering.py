"""Text that is drawn once and pasted: the pixels that Matplotlib makes, an edge, and no work the second time."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties

from course_lib import plots
from course_lib.ink import drawn
from course_lib.lettering import Look, extent, stamp

FONT, DPI = FontProperties(size=11), 200.0
DARK, LIGHT = (0.3, 0.3, 0.3), (1.0, 1.0, 1.0)
TEXTS = [("axis", False), (r"$\tilde\beta_t \geq \frac{1}{2}$", True), ("gyq,|", False)]


def by_matplotlib(text, angle, ismath, at):
    """Opacities (400, 600) of the text with its anchor `at` (from the left, from above), by Matplotlib alone."""
    pen = RendererAgg(600, 400, DPI)
    context = pen.new_gc()
    context.set_foreground(DARK)
    pen.draw_text(context, *at, text, FONT, angle, ismath)
    return np.asarray(pen.buffer_rgba())[..., 3].astype(int)


def pasted(written, at):
    """Opacities (400, 600) of a stamp's pixels with its anchor `at`."""
    sheet = np.zeros((400, 600), int)
    height, width, _ = written.pixels.shape
    top, left = at[1] - (height - written.below), at[0] - written.left
    sheet[top : top + height, left : left + width] = written.pixels[..., 3]
    return sheet


@pytest.mark.parametrize("angle", [0.0, 90.0, 30.0])
@pytest.mark.parametrize("text, ismath", TEXTS)
def test_without_an_edge_it_is_matplotlibs_text(text, ismath, angle):
    written = stamp(text, FONT, angle, ismath, Look(DPI, DARK, None, 2))
    truth = by_matplotlib(text, angle, ismath, (200, 250))
    assert truth.max() > 200 and np.abs(pasted(written, (200, 250)) - truth).max() <= 1
    assert (written.pixels[..., :3] == round(255 * 0.3)).all()


@pytest.mark.parametrize("text, ismath", TEXTS)
def test_an_edge_surrounds_the_text_and_ends_two_pixels_off(text, ismath):
    bare = stamp(text, FONT, 0.0, ismath, Look(DPI, DARK, None, 2)).pixels[..., 3] > 0
    edged = stamp(text, FONT, 0.0, ismath, Look(DPI, DARK, LIGHT, 2)).pixels
    covered = edged[..., 3] > 0
    near, far = bare.copy(), bare.copy()
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            moved = np.roll(bare, (dy, dx), (0, 1))
            far |= moved
            if abs(dy) + abs(dx) == 1:
                near |= moved
    assert (covered | ~near).all() and (far | ~covered).all()  # all that touches the text, nothing beyond two pixels
    solid = stamp(text, FONT, 0.0, ismath, Look(DPI, DARK, None, 2)).pixels[..., 3] == 255
    assert (edged[solid][:, :3] == round(255 * 0.3)).all()
    assert (edged[covered & ~bare][:, :3] == 255).all()


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_figures_text_stands_where_matplotlib_puts_it(rotation):
    """To a pixel, since the text is pasted at whole ones; the edge is two pixels wide."""
    fig, ax = plots.figure(width=3, height=2)
    ax.set_axis_off()
    fig.set_layout_engine("none")
    ax.text(0.2, 0.4, "here", rotation=rotation, transform=ax.transAxes)
    fig.set_dpi(DPI)
    boxes = []
    for pixels in (drawn(fig), _by_matplotlib(fig)):
        seen = np.argwhere(pixels[..., 3] > 0)
        boxes.append([*seen.min(0), *-seen.max(0)])
    assert np.abs(np.array(boxes[0]) + 2 - boxes[1]).max() <= 1


def _by_matplotlib(fig):
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_the_second_time_nothing_is_drawn():
    look, font = Look(DPI, DARK, LIGHT, 2), FontProperties(size=9.25)
    first = stamp("once", font, 0.0, False, look)
    before = stamp.cache_info().misses, extent.cache_info().misses
    assert stamp("once", FontProperties(size=9.25), 0.0, False, look) is first  # an equal font, another object
    assert (stamp.cache_info().misses, extent.cache_info().misses) == before
    assert stamp("once", FontProperties(size=9.5), 0.0, False, look) is not first
