"""Figures that answer a slider."""

import contextlib
import gc
import html
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

from course_lib import picture
from course_lib.lettering import extent


def explore(draw: Callable[..., Any], *, alt: str = "", **sliders: Any) -> None:
    """Show `draw(**values)` with one control per value; a drag redraws the figure.

    Where nobody can drag (while grading, with COURSE_WIDGETS=static, without ipywidgets, outside a notebook)
    the picture of the default values stands there instead. Nothing is returned and nothing kept: no later
    cell can depend on a slider.

    Args:
        draw: called by name with the values of the controls. Returns a fresh figure, its axes, or the (fig,
            ax) of `course_lib.plots`. Keep it small: up to 100 ms from drag to picture feels immediate.
        alt: what the figure shows, for those who cannot see it; by default its title and the names of the
        controls.
        sliders: name = (lowest, highest, default), all integers or else floats; or a list of options, the
            first one the default; or True or False; or a ready ipywidgets control.

    Example:
        `explore(draw_density, alt="a normal density", sigma=(0.1, 3.0, 1.0))`
    """
    for name, spec in sliders.items():
        _check(name, spec)
    drawing = Drawing(draw, {name: _default(spec) for name, spec in sliders.items()})
    alt = alt or f"{drawing.title or 'a figure'}; controls: {', '.join(sliders).replace('_', ' ') or 'none'}"
    if _live():
        _display_live(drawing, {name: _control(name, spec) for name, spec in sliders.items()}, alt)
    else:
        picture.display_png(picture.small(drawing.first), drawing.size, alt)


def _live() -> bool:
    """Is there a kernel with ipywidgets, and may the output change from run to run?"""
    if os.environ.get("COURSE_WIDGETS") == "static" or os.environ.get("NBGRADER_EXECUTION"):
        return False
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _is_range(spec: Any) -> bool:
    return isinstance(spec, tuple) and len(spec) == 3 and all(isinstance(v, int | float) for v in spec)


def _check(name: str, spec: Any) -> None:
    if _is_range(spec):
        low, high, default = spec
        if not low <= default <= high or low == high:
            expected = "(lowest, highest, default), the default in between"
            raise ValueError(f"explore: {name}={spec!r}; expected {expected}")
    elif not (isinstance(spec, bool) or (isinstance(spec, list) and spec) or hasattr(spec, "observe")):
        expected = "(lowest, highest, default), a list of options, True, False or an ipywidgets control"
        raise ValueError(f"explore: {name}={spec!r}; expected {expected}")


def _default(spec: Any) -> Any:
    if _is_range(spec):
        return spec[2]
    return spec[0] if isinstance(spec, list) else spec if isinstance(spec, bool) else spec.value


def _control(name: str, spec: Any) -> Any:
    import ipywidgets

    if hasattr(spec, "observe"):
        return spec
    layout = ipywidgets.Layout(width="32em")
    look: dict[str, Any] = {
        "description": name.replace("_", " "),
        "style": {"description_width": "8em"},
        "layout": layout,
    }
    if isinstance(spec, bool):
        return ipywidgets.Checkbox(value=spec, **look)
    if isinstance(spec, list):
        numbers = all(isinstance(v, int | float) for v in spec)
        kind = ipywidgets.SelectionSlider if numbers else ipywidgets.Dropdown
        return kind(options=spec, value=spec[0], **look)
    low, high, default = spec
    if all(isinstance(v, int) for v in spec):
        return ipywidgets.IntSlider(min=low, max=high, value=default, **look)
    step = _step(low, high, default)
    return ipywidgets.FloatSlider(min=low, max=high, value=default, step=step, readout_format=".3g", **look)


def _step(low: float, high: float, default: float) -> float:
    """A power of ten that makes 50 to 500 steps, or a tenth of it where the default would lie between two."""
    step = 10.0 ** math.floor(math.log10((high - low) / 50))
    steps = (default - low) / step
    return step if abs(steps - round(steps)) < 1e-6 else step / 10


class Drawing:
    """A figure that is drawn again for other values, its axes standing where they stood.

    Finding the axes' places takes a third of a figure's time, and axes that shift a little under a moving hand are a
    nuisance. So they are found for the first values and kept; longer numbers beside an axis move that edge alone, and
    where a figure's lines of text do not fit in, it gets places of its own. Nothing but its values decides how a
    picture looks.
    """

    def __init__(self, draw: Callable[..., Any], first: dict[str, Any]) -> None:
        self.draw = draw
        fig = _figure_of(draw(**first))
        self.first, self.size = picture.render(fig, few_colours=True)
        titles = [ax.get_title(loc=where) for ax in fig.axes for where in ("left", "center")]
        self.title = "; ".join(filter(None, titles))
        self._places = [ax.get_position(original=True) for ax in fig.axes]
        self._room = [(_numbers(ax), _lines(ax)) for ax in fig.axes]

    def __call__(self, values: dict[str, Any]) -> bytes:
        """The picture for these values, a PNG."""
        with _no_collection():
            fig = _figure_of(self.draw(**values))
            if len(self._places) == len(fig.axes):
                found = fig.get_layout_engine()
                fig.set_layout_engine("none")
                if not all(self._stands(ax, i) for i, ax in enumerate(fig.axes)):
                    fig.set_layout_engine(found)
                    for ax in fig.axes:
                        ax.set_in_layout(True)
            return picture.render(fig, few_colours=True)[0]

    def _stands(self, ax: Any, i: int) -> bool:
        """Put axes `i` where they stood, the left edge further in by what their numbers are wider; do they fit in?"""
        place, (width, lines) = self._places[i], self._room[i]
        ax.set_position(place)
        wider = max(0.0, _numbers(ax) - width) / self.size[0]
        if wider:
            ax.set_position([place.x0 + wider, place.y0, place.width - wider, place.height])
        return wider < place.width / 3 and all(now <= then for now, then in zip(_lines(ax), lines, strict=True))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Python's garbage collector waits. A figure's many small parts would set it off again and again, and each time it
    may look through all that a notebook holds; so it looks once, when the figure is done.
    """
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def _figure_of(drawn: Any) -> Any:
    drawn = drawn[0] if isinstance(drawn, tuple) else drawn
    fig = drawn if hasattr(drawn, "savefig") else getattr(drawn, "figure", None)
    if fig is None:
        raise TypeError(f"explore: draw must return a figure, axes or (fig, ax), got {type(drawn).__name__}")
    return fig


def _numbers(ax: Any) -> float:
    """Pixels on the page that the widest number left of the axes takes."""
    if not ax.yaxis.get_visible() or not ax.axison:
        return 0.0
    low, high = sorted(ax.get_ylim())
    beyond = 1e-6 * (high - low)  # labels are kept for ticks beyond the axis, which nobody sees
    ax.get_yticklabels()  # places them
    widths = [
        extent(line, tick.label1.get_fontproperties().copy(), "$" in line, picture.DPI)[0]
        for tick in ax.yaxis.get_major_ticks()
        if tick.label1.get_visible() and low - beyond <= tick.get_loc() <= high + beyond
        for line in tick.label1.get_text().splitlines()
    ]
    return max(widths, default=0.0)


def _lines(ax: Any) -> tuple[int, ...]:
    """How many lines of text stand beside the axes: titles, labels, and powers such as 1e6 in a corner."""
    titles = [ax.get_title(loc=where) for where in ("left", "center", "right")]
    powers = [axis.get_major_formatter().get_offset() for axis in (ax.xaxis, ax.yaxis)]
    texts = ["\n".join(titles).strip("\n"), ax.get_xlabel(), ax.get_ylabel(), *powers]
    return tuple(len(text.splitlines()) for text in texts)


def _display_live(drawing: Drawing, controls: dict[str, Any], alt: str) -> None:
    import ipywidgets
    from IPython.display import display

    width = ipywidgets.Layout(width=f"{drawing.size[0]}px")
    image = ipywidgets.Image(value=drawing.first, format="png", layout=width)
    # The image widget has no alternative text, and breaks in the browser when given a tooltip.
    hidden = "position:absolute; width:1px; height:1px; overflow:hidden; clip-path:inset(50%)"
    spoken = ipywidgets.HTML(f'<span style="{hidden}">{html.escape(alt)}</span>', layout={"height": "0"})
    complaint = ipywidgets.Label(layout={"display": "none"})

    def redraw(_: Any) -> None:
        # An exception in here would vanish in the kernel's log, and the student would see a dead slider.
        try:
            image.value = drawing({name: control.value for name, control in controls.items()})
            complaint.layout.display = "none"
        except Exception as error:
            complaint.value, complaint.layout.display = f"{type(error).__name__}: {error}", None

    for control in controls.values():
        control.observe(redraw, names="value")
    box = ipywidgets.VBox([*controls.values(), image, spoken, complaint])
    # Beside the live view stands the first picture, for viewers that know no widgets.
    data, metadata = picture.bundle(drawing.first, drawing.size, alt)
    view = "application/vnd.jupyter.widget-view+json"
    display({view: box._repr_mimebundle_()[view], **data}, metadata=metadata, raw=True)
