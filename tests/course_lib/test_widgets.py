"""Sliders: what is shown when somebody can drag, and when nobody can."""

import gc
import subprocess
import sys

import IPython
import ipywidgets
import matplotlib.pyplot as plt
import pytest

from course_lib import plots, widgets


def draw(height=1.0, kind="line", bold=False):
    return plots.curve([0, 1], [0, height], title=f"{kind} to {height}", linewidth=4 if bold else 2)


SLIDERS = {"height": (0.0, 4.0, 2.0), "kind": ["line", "rise"], "bold": False}


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would have displayed; there is a kernel."""

    class Shell:
        kernel = object()

    plt.close(plt.figure())  # now, since pyplot asks the shell for more when it is first used
    outputs = []
    monkeypatch.setattr(IPython.core.getipython, "get_ipython", Shell)
    monkeypatch.setattr(IPython.display, "display", lambda bundle, **options: outputs.append(bundle))
    return outputs


@pytest.fixture
def made(monkeypatch):
    """The controls and the image that `explore` makes."""
    boxes = []
    original = ipywidgets.VBox

    def keep(children, **options):
        boxes.append(original(children, **options))
        return boxes[-1]

    monkeypatch.setattr(ipywidgets, "VBox", keep)
    return boxes


VIEW = "application/vnd.jupyter.widget-view+json"


def test_live_a_drag_redraws(shown, made):
    widgets.explore(draw, alt="a line", **SLIDERS)
    height, kind, bold, image, spoken, complaint = made[0].children
    assert set(shown[0]) == {VIEW, "image/png", "text/plain"} and shown[0]["text/plain"] == "a line"
    assert isinstance(height, ipywidgets.FloatSlider) and (height.min, height.max, height.value) == (0, 4, 2)
    assert isinstance(kind, ipywidgets.Dropdown) and isinstance(bold, ipywidgets.Checkbox)
    assert ">a line<" in spoken.value
    pictures = [image.value]
    for control, value in ((height, 3.0), (kind, "rise"), (bold, True)):
        control.value = value
        pictures.append(image.value)
    assert len(set(pictures)) == 4 and complaint.layout.display == "none"
    height.value, kind.value, bold.value = 2.0, "line", False
    assert image.value == pictures[0]  # nothing but the values decides
    assert plt.get_fignums() == []


def test_live_an_error_in_draw_is_shown_and_passes(shown, made):
    def fragile(n):
        if n == 3:
            raise ValueError("three is too many")
        return draw(n)

    widgets.explore(fragile, n=(1, 5, 2))
    slider, image, _, complaint = made[0].children
    assert isinstance(slider, ipywidgets.IntSlider)
    before = image.value
    slider.value = 3
    assert complaint.value == "ValueError: three is too many" and complaint.layout.display is None
    assert image.value == before
    slider.value = 4
    assert complaint.layout.display == "none" and image.value != before


@pytest.mark.parametrize("name, value", [("COURSE_WIDGETS", "static"), ("NBGRADER_EXECUTION", "autograde")])
def test_where_nobody_can_drag_the_default_picture_stands(shown, made, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    for _ in range(2):
        widgets.explore(draw, alt="a line", **SLIDERS)
    assert made == [] and shown[0] == shown[1]  # no widget, no random id
    assert set(shown[0]) == {"image/png", "text/plain"}


def test_without_ipywidgets_too(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    widgets.explore(draw, **SLIDERS)
    assert set(shown[0]) == {"image/png", "text/plain"}
    assert shown[0]["text/plain"] == "line to 2.0; controls: height, kind, bold"


def test_without_a_notebook(capsys):
    widgets.explore(draw, alt="a line", **SLIDERS)
    assert capsys.readouterr().out == "a line\n"


@pytest.mark.parametrize(
    "low, high, default", [(0.2, 3.0, 1.0), (0.0, 1.0, 0.995), (-3.0, 3.0, 0.0), (0.0, 500.0, 5.0)]
)
def test_a_float_slider_stands_on_its_default(low, high, default):
    """JupyterLab moves a value that lies between two steps."""
    step = widgets._step(low, high, default)
    for value in (default, high):
        steps = (value - low) / step
        assert steps == pytest.approx(round(steps), abs=1e-6)
    assert 40 <= (high - low) / step <= 5000


def test_a_ready_control_and_every_kind_of_drawing(shown, made):
    control = ipywidgets.IntSlider(value=2, min=0, max=5)
    widgets.explore(lambda n: draw(n)[0], n=control)
    widgets.explore(lambda n: draw(n)[1], n=[1, 2, 4])
    assert made[0].children[0] is control
    assert isinstance(made[1].children[0], ipywidgets.SelectionSlider)


@pytest.mark.parametrize(
    "spec",
    [(0.0, 1.0, 2.0), (1.0, 1.0, 1.0), (0, 1), [], "abc", 3.0],
    ids=["outside", "empty", "two", "none", "text", "number"],
)
def test_a_wrong_slider_is_one_clear_line(spec):
    with pytest.raises(ValueError, match=r"explore: height=.*expected \(lowest, highest, default\)"):
        widgets.explore(draw, height=spec)


def test_a_draw_that_returns_nothing_is_named():
    with pytest.raises(TypeError, match="draw must return a figure, axes or"):
        widgets.explore(lambda n: None, n=(1, 3, 2))


def test_no_widget_is_imported_where_none_is_shown():
    script = """
import os, sys
os.environ["COURSE_WIDGETS"] = "static"
from course_lib import plots, widgets
widgets.explore(lambda a: plots.curve([0, 1], [0, a]), alt="line", a=(0.0, 1.0, 0.5))
print("ipywidgets" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "line\nFalse\n"


def places_of(monkeypatch, drawing, values):
    """Where the axes stood when the picture for these values was made, and the picture."""
    seen, render = [], widgets.picture.render

    def watching(fig, **options):
        made = render(fig, **options)
        seen.append([ax.get_position(original=True).bounds for ax in fig.axes])
        return made

    monkeypatch.setattr(widgets.picture, "render", watching)
    image = drawing(values)
    monkeypatch.setattr(widgets.picture, "render", render)
    return seen, image


def wide(height, title="t"):
    fig, ax = draw(height)
    ax.set_title(title)
    return fig


def test_under_a_drag_the_axes_stand_still_while_their_labels_fit(monkeypatch):
    drawing = widgets.Drawing(wide, {"height": 2.0})
    (first,), _ = places_of(monkeypatch, drawing, {"height": 2.0})
    (other,), _ = places_of(monkeypatch, drawing, {"height": 40.0})  # its ticks are no longer than 0.25
    assert other == first


def test_longer_numbers_move_their_edge_alone(monkeypatch):
    drawing, long = widgets.Drawing(wide, {"height": 2.0}), {"height": 123456.0}
    (((first,),), _), (((moved,),), image) = (places_of(monkeypatch, drawing, v) for v in ({"height": 2.0}, long))
    assert moved[0] > first[0] and (moved[1], moved[3]) == (first[1], first[3])
    assert moved[0] + moved[2] == pytest.approx(first[0] + first[2])  # the other edges stand
    assert drawing(long) == image and drawing({"height": 2.0}) == drawing.first  # whatever came before

    fig = wide(**long)
    fig.set_layout_engine("none")
    fig.axes[0].set_position(moved)
    fig.canvas.draw()
    assert fig.axes[0].get_tightbbox().x0 >= fig.bbox.x0  # they fit in
    plt.close(fig)


def test_names_of_two_lines_are_as_wide_as_the_longer_one(recwarn):
    def named(high):
        fig, ax = plots.figure()
        ax.barh([0, 1], [1, high])
        ax.set_yticks([0, 1], ["one", f"the longer name\n{high:.2f}"])
        return fig

    drawing = widgets.Drawing(named, {"high": 2.0})
    assert drawing({"high": 3.0}) != drawing.first and not list(recwarn)  # a line break is no glyph of any font


def test_axes_that_share_their_numbers_have_none_of_their_own():
    def pair(high):
        fig, (left, right) = plots.figure(1, 2, sharey=True)
        left.set(ylim=(0, high), yticks=[0, high / 2, high])
        right.plot([0, 1], [0, high])
        return fig

    drawing = widgets.Drawing(pair, {"high": 2.0})
    assert drawing({"high": 3.0}) != drawing.first and drawing._room[1][0] == 0


def test_names_with_formulas_need_no_tex():
    def grid(level):
        return plots.image_grid([[[level]], [[level]]], 1, labels=["$x_t$", f"$x_{{{10 * level:g}}}$"])

    drawing = widgets.Drawing(grid, {"level": 0.5})
    assert drawing({"level": 0.5}) == drawing.first != drawing({"level": 1.0})


@pytest.mark.parametrize(
    "values", [{"height": 4e6}, {"height": 2.0, "title": "two\nlines"}], ids=["power of ten", "title"]
)
def test_lines_of_text_that_do_not_fit_get_room(monkeypatch, values):
    drawing = widgets.Drawing(wide, {"height": 2.0})
    (own,), image = places_of(monkeypatch, drawing, values)
    fresh = widgets.Drawing(wide, values)
    assert image == fresh.first and own == [pytest.approx(place.bounds) for place in fresh._places]
    (first,), again = places_of(monkeypatch, drawing, {"height": 2.0})  # and the next one stands where the first stood
    assert again == drawing.first and first == [place.bounds for place in drawing._places]


def test_the_garbage_collector_waits_for_a_figure_and_no_longer():
    waits = []

    def watched(height):
        waits.append(not gc.isenabled())
        if height == 3.0:
            raise ValueError("three is too many")
        return draw(height)

    drawing = widgets.Drawing(watched, {"height": 2.0})
    drawing({"height": 1.0})
    assert waits == [False, True] and gc.isenabled()
    with pytest.raises(ValueError):
        drawing({"height": 3.0})
    assert gc.isenabled()


def test_another_number_of_axes_gets_places_of_its_own():
    drawing = widgets.Drawing(lambda n: plots.figure(1, n)[0], {"n": 1})
    assert drawing({"n": 2}) == widgets.Drawing(lambda n: plots.figure(1, n)[0], {"n": 2}).first
