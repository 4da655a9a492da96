"""Ink that reads on a light page and on a dark one alike: JupyterLab's themes have #FFFFFF and #111111.

Figures have no background of their own. No single colour has contrast 4.5 with both pages (the best grey has 4.3), so
what is dark gets a thin light edge: on a light page it cannot be seen, on a dark one it is what the eye reads.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.lettering import Look, extent, stamp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGES = ("#FFFFFF", "#111111")  # JupyterLab, light and dark
TEXT, LINE = 4.5, 2.8  # least contrast (WCAG 2.1 asks 4.5 of text and 3 of lines; the thick dotted guess has 2.9)
EDGE = 0.8  # points of edge on each side


def luminance(color: Any) -> float:
    """Relative luminance of WCAG 2.1, 0 for black and 1 for white; transparency is not looked at."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Any, other: Any) -> float:
    """Contrast ratio of two colours (WCAG 2.1), from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def reads(color: Any, least: float) -> bool:
    """Has the colour this contrast with both pages?"""
    return all(contrast(color, page) >= least for page in PAGES)


def edge(color: Any) -> str:
    """The page's colour that stands out from `color`: what to draw around it."""
    return max(PAGES, key=lambda page: contrast(color, page))


def lines_of(artist: Any) -> Iterator[Any]:
    """The lines within an artist, but those of ticks and grids.

    They have the style's grey, which reads on both pages; and to ask an axis for its ticks makes them anew, which takes
    half of the time that a figure does.
    """
    from matplotlib.axis import Axis
    from matplotlib.lines import Line2D

    if isinstance(artist, Line2D):
        yield artist
    elif not isinstance(artist, Axis):
        for part in artist.get_children():
            yield from lines_of(part)


def edge_lines(fig: "Figure") -> None:
    """Give an edge to each line of the figure that would be lost on one of the pages and has none yet."""
    from matplotlib.patheffects import withStroke

    for line in lines_of(fig):
        faint = (line.get_alpha() or 1) < 0.5 or line.get_color() == "none"
        if not faint and not line.get_path_effects() and not reads(line.get_color(), LINE):
            width = line.get_linewidth() + 2 * EDGE
            line.set_path_effects([withStroke(linewidth=width, foreground=edge(line.get_color()))])


def drawn(fig: "Figure") -> np.ndarray:
    """The figure's pixels (height, width, 4) at its dpi, with edges around lines and text that need them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
    from matplotlib.colors import to_rgb

    class EdgedRenderer(RendererAgg):
        """Pastes text that has an edge in the page's colour around it."""

        def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
            return extent(s, prop.copy(), ismath, self.dpi)

        def draw_text(
            self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
        ) -> None:
            color = gc.get_rgb()[:3]
            around = None if reads(color, TEXT) else to_rgb(edge(color))
            look = Look(self.dpi, color, around, round(EDGE * self.dpi / 72))
            written = stamp(s, prop.copy(), angle, ismath, look)
            self.draw_image(gc, round(x) - written.left, round(self.height - y) - written.below, written.pixels[::-1])

    class Canvas(FigureCanvasAgg):
        def get_renderer(self) -> RendererAgg:
            width, height = self.figure.bbox.size
            if not hasattr(self, "renderer"):
                self.renderer = EdgedRenderer(width, height, self.figure.dpi)
            self.renderer.clear()
            return self.renderer

    edge_lines(fig)
    canvas = Canvas(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
