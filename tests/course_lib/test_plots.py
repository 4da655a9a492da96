"""Figures: what is in them, whether colours can be told apart, and that pictures repeat from run to run."""

import itertools

import IPython
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from course_lib import History, data, picture, plots, style
from course_lib.ink import drawn


@pytest.fixture(autouse=True)
def no_figure_left_open():
    import matplotlib.pyplot as plt

    plt.close("all")
    yield
    plt.close("all")


def linear(color):
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


# Viénot, Brettel and Mollon (1999), on linear RGB.
PROTANOPIA = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
DEUTERANOPIA = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz / [0.9505, 1, 1.089], 0.008856, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["usual", "protan", "deutan"])
def test_roles_can_be_told_apart(eye):
    seen = {role: lab(np.clip(eye @ linear(color), 0, 1)) for role, color in plots.COLOR.items()}
    for (one, a), (other, b) in itertools.combinations(seen.items(), 2):
        assert np.linalg.norm(a - b) > 12, (one, other)


def pixels(fig):
    """The colours of an image grid's canvas and their opacity, (rows, columns, 4)."""
    (image,) = fig.axes[0].images
    return np.asarray(image.get_array())


def test_image_grid_places_every_image_one_pixel_apart():
    images = torch.rand(5, 1, 8, 8)
    fig, ax = plots.image_grid(images, 3, title="five")
    canvas = pixels(fig)
    assert canvas.shape == (17, 26, 4)
    for i in range(5):
        y, x = 9 * (i // 3), 9 * (i % 3)
        assert np.allclose(canvas[y : y + 8, x : x + 8, :3], images[i, 0, :, :, None])
    assert np.allclose(canvas[8, :, :3], to_rgb(style.GAP)) and (canvas[9:, 18:, 3] == 0).all()
    assert ax.images[0].get_interpolation() == "nearest"
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


@pytest.mark.parametrize("label", ["a", "codes from N(0, I)", "autoencoder, N(0, I)", "M" * 30])
def test_image_grid_has_room_for_the_names_of_its_rows(label):
    fig, _ = plots.image_grid(torch.ones(40, 64), 10, labels=["short", "a", "b", label], zoom=5, title="t")
    assert not drawn(fig)[:, [0, -1], 3].any(), "nothing reaches the figure's edge"


def test_image_grid_takes_every_shape_and_range():
    images = data.digits("test")[:4]
    reference = pixels(plots.image_grid(images, 2)[0])
    for same in (images.reshape(4, 8, 8), images.reshape(4, 1, 8, 8), images.numpy()):
        assert np.array_equal(pixels(plots.image_grid(same, 2)[0]), reference)
    assert np.allclose(pixels(plots.image_grid(2 * images - 1, 2, range=(-1, 1))[0]), reference)
    assert pixels(plots.image_grid(images + 5, 2)[0]).max() == 1  # clipped
    with pytest.raises(ValueError, match=r"expected \(N, H\*W\)"):
        plots.image_grid(torch.zeros(3, 7), 3)


def test_image_grid_labels():
    images = data.digits("test")[:6]
    _, ax = plots.image_grid(images, 3, labels=["data", "model"], column_labels=["a", "b", "c"])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["data", "model"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
    _, ax = plots.image_grid(images, 3, labels=list("uvwxyz"))
    assert [t.get_text() for t in ax.texts] == list("uvwxyz")
    with pytest.raises(ValueError, match=r"one per row \(2\) or one per image \(6\), got 4"):
        plots.image_grid(images, 3, labels=list("abcd"))
    with pytest.raises(ValueError, match="expected 3 column labels, got 1"):
        plots.image_grid(images, 3, column_labels=["a"])


def test_a_figure_made_here_fits_the_page():
    for columns in (1, 2, 8, 15, 30):
        fig, _ = plots.image_grid(data.digits("test")[:30], columns)
        assert fig.get_size_inches()[0] * picture.DPI <= 800


def test_curves_have_the_colour_and_line_of_their_role():
    x = torch.linspace(0, 1, 5)
    fig, ax = plots.curve(x, x**2, "exact", label="truth", xlabel="x", ylabel="nats", title="found")
    plots.curve(x, x.bfloat16(), "model", ax=ax, error=0.1 * torch.ones(5))
    plots.guess(ax, y=0.5)
    exact, model, guess = ax.lines
    assert exact.get_color() == plots.COLOR["exact"] and exact.is_dashed()
    assert model.get_color() == plots.COLOR["model"] and not model.is_dashed()
    assert guess.get_color() == plots.COLOR["guess"] and guess.is_dashed()
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(1.2) and band.min() == pytest.approx(-0.2)  # two standard errors
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("x", "nats", "found")
    assert fig is ax.figure
    with pytest.raises(ValueError, match="expected one of data, model"):
        plots.curve(x, x, "truth")
    with pytest.raises(ValueError, match="give x"):
        plots.guess(ax)


def test_a_legend_beside_the_axes_is_within_the_figure_and_meets_no_line():
    fig, ax = plots.curve([0, 1], [0, 1], label="a line")
    plots.guess(ax, x=0.5)
    plots.legend_beside(ax)
    fig.canvas.draw()
    legend, inside = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert inside.x1 <= legend.x0 and legend.x1 <= fig.bbox.x1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a line", "your prediction"]


def test_scatter_has_one_scale_and_names_its_classes():
    points, classes = data.two_moons(60), torch.arange(60) % 3
    _, ax = plots.scatter(points, classes=classes)
    assert ax.get_aspect() == 1 and [t.get_text() for t in ax.texts] == ["0", "1", "2"]
    for text in ax.texts:
        median = np.median(points[classes == int(text.get_text())].numpy(), axis=0)
        assert text.get_position() == pytest.approx(tuple(median))
    with pytest.raises(ValueError, match=r"expected points \(N, 2\)"):
        plots.scatter(torch.zeros(4, 3))


def test_history_shows_the_learning_and_the_optimum():
    losses = torch.cat([torch.full((50,), 1e4), 5 + torch.rand(950)])
    _, ax = plots.history(History(losses, 1.0, "loss (nats)"), exact=4.5)
    low, high = ax.get_ylim()
    assert low < 4.5 and high < 10  # not squeezed by the first steps
    assert ax.get_ylabel() == "loss (nats)" and ax.lines[-1].is_dashed()


def test_a_picture_is_closed_and_the_same_from_run_to_run():
    import matplotlib.pyplot as plt

    def draw():
        return picture.render(plots.curve([0, 1], [0, 1], label="line", title="t")[0])

    (first, size), again = draw(), draw()
    assert first == again[0] and size == (600, 360)
    assert first.startswith(b"\x89PNG") and b"matplotlib" not in first.lower()
    assert int.from_bytes(first[16:20], "big") == 1200  # twice the size on the page
    assert plt.get_fignums() == []


def test_show_gives_a_png_and_its_alternative_text(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.core.getipython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", lambda *data, **options: shown.append((data, options)))
    plots.show(plots.curve([0, 1], [0, 1]), alt="a rising line")
    (((bundle,), options),) = shown
    assert set(bundle) == {"image/png", "text/plain"} and bundle["text/plain"] == "a rising line"
    assert options["raw"] and options["metadata"]["image/png"] == {
        "width": 600,
        "height": 360,
        "alt": "a rising line",
    }
    with pytest.raises(ValueError, match="alt is empty"):
        plots.show(plots.curve([0, 1], [0, 1]), alt=" ")


def test_outside_a_notebook_the_text_is_printed(capsys):
    plots.show(plots.curve([0, 1], [0, 1]), alt="a rising line")
    assert capsys.readouterr().out == "a rising line\n"


def test_cells_are_squares_coloured_by_kind_with_the_kinds_that_occur_in_the_legend():
    kinds = {"not seen": None, "seen": "model", "itself": "data"}
    _, ax = plots.cells(torch.tensor([[1, 1, 0], [1, 2, 0]]), kinds, text=[["a", "b", ""], ["", "x", "y"]], title="t")
    squares = ax.patches
    assert len(squares) == 6 and ax.get_title(loc="left") == "t"
    faces = [square.get_facecolor() for square in squares]
    assert faces[0] == faces[1] == faces[3] != faces[4] and faces[2][3] == faces[5][3] == 0
    assert list(squares[5].get_center()) == pytest.approx([2, 1])
    assert [entry.get_text() for entry in ax.get_legend().get_texts()] == list(kinds)
    assert [text.get_text() for text in ax.texts] == ["a", "b", "", "", "x", "y"]
    _, ax = plots.cells([[1]], kinds)
    assert [entry.get_text() for entry in ax.get_legend().get_texts()] == ["seen"]


def test_cells_refuse_what_has_no_kind():
    with pytest.raises(ValueError, match="from 0 to 1"):
        plots.cells([[2]], {"a": None, "b": "model"})
