"""Ink on both pages of JupyterLab, measured on rendered pixels: contrast of what is drawn with what it is drawn on."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import data, ink, picture, plots, style


def on(page: str, png: bytes) -> np.ndarray:
    """The picture on a page, (height, width, 3) from 0 to 1."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    paper = Image.new("RGBA", image.size, page)
    paper.alpha_composite(image)
    return np.asarray(paper.convert("RGB")) / 255


def luminances(pixels: np.ndarray) -> np.ndarray:
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def steepest(png: bytes, page: str) -> float:
    """The largest contrast between a pixel and what lies within three pixels of it: what an eye reads by."""
    bright = luminances(on(page, png))
    rows, columns = bright.shape
    near = np.stack([np.roll(bright, (y, x), (0, 1)) for y in (-3, 0, 3) for x in (-3, 0, 3)])[:, 3:-3, 3:-3]
    assert rows > 6 and columns > 6
    return float(((near.max(0) + 0.05) / (near.min(0) + 0.05)).max())


def test_contrast_is_that_of_the_standard():
    assert ink.contrast("black", "white") == pytest.approx(21)
    assert ink.contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)  # the standard's own example
    assert not any(ink.reads((grey / 255,) * 3, 4.5) for grey in range(256))  # which is why there are edges


def test_every_role_and_class_stands_out_on_both_pages_or_gets_an_edge():
    """3 to 1 for graphical objects (WCAG 2.1); the dotted guess is thick and labelled, two roles are edged lines."""
    for role, color in style.COLOR.items():
        least = 2.8 if role == "guess" else 3
        assert ink.reads(color, least) != (role in ("exact", "bound")), role
    assert all(ink.reads(color, 3) for color in style.CLASS_COLORS)


@pytest.mark.parametrize("page", ink.PAGES)
@pytest.mark.parametrize("text", ["title", "xlabel", "ylabel"])
def test_text_reads_on_both_pages(page, text):
    fig, ax = plots.figure(width=3, height=2)
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[], **{text: r"bound $\tilde\beta_t$"})
    ax.spines[:].set_visible(False)
    assert steepest(picture.render(fig, few_colours=True)[0], page) >= ink.TEXT


@pytest.mark.parametrize("page", ink.PAGES)
@pytest.mark.parametrize("what", ["ticks", "legend", "labels above images"])
def test_so_do_ticks_legends_and_labels(page, what):
    if what == "labels above images":
        fig, ax = plots.image_grid(torch.zeros(2, 8, 8), 2, labels=["one", "two"])
        ax.images[0].set_visible(False)
    else:
        fig, ax = plots.figure(width=3, height=2)
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        ax.plot([0, 1], [0, 1], alpha=0, label="a line")
        if what == "legend":
            ax.set(xticks=[], yticks=[])
            ax.legend()
    assert steepest(picture.render(fig)[0], page) >= ink.TEXT


@pytest.mark.parametrize("page", ink.PAGES)
@pytest.mark.parametrize("role", ["exact", "bound"])
def test_dark_lines_read_on_both_pages(page, role):
    fig, ax = plots.figure(width=3, height=2)
    ax.set_axis_off()
    plots.curve([0, 1], [0, 1], role, ax=ax)
    assert steepest(picture.render(fig)[0], page) >= ink.TEXT


def test_a_figure_has_no_background():
    for fig, _ in (plots.curve([0, 1], [0, 1], title="t"), plots.image_grid(data.digits("test")[:3], 2, title="t")):
        pixels = np.asarray(Image.open(io.BytesIO(picture.render(fig, few_colours=True)[0])).convert("RGBA"))
        assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3] == 0).all()


def test_no_ticks_are_made_to_look_for_lines_and_a_legends_lines_are_found():
    fig, ax = plots.figure()
    ax.set(yscale="log", ylim=(1e-6, 10))
    plots.curve([0, 1], [1, 2], "exact", label="truth", ax=ax)
    made = len(ax.yaxis.minorTicks)
    ink.edge_lines(fig)
    assert len(ax.yaxis.minorTicks) == made
    assert all(line.get_path_effects() for line in (*ax.lines, *ax.get_legend().get_lines()))


def test_an_own_edge_is_left_alone_and_faint_lines_get_none():
    from matplotlib.patheffects import withStroke

    _, ax = plots.figure()
    own = [withStroke(linewidth=5, foreground="red")]
    (edged,) = ax.plot([0, 1], [0, 1], color="black", path_effects=own)
    (faint,) = ax.plot([0, 1], [0, 1], color="black", alpha=0.2)
    ink.edge_lines(ax.figure)
    assert edged.get_path_effects() == own and not faint.get_path_effects()
