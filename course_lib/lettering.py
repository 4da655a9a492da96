"""Text as pixels with an edge around it, remembered: a slider draws the same ticks and labels over and over.

Matplotlib lays out and rasterises a text every time it meets it, which took more than half of a figure's time. Here a
text is drawn once, at whole pixels, and pasted from then on.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties

REMEMBERED = 2000  # texts: some ten figures' worth of different ones


class Look(NamedTuple):
    """What decides a text's pixels: dots per inch, colours (red, green, blue) from 0 to 1, and the edge's width."""

    dpi: float
    color: tuple[float, ...]
    edge: tuple[float, ...] | None  # None for a text that needs none
    far: int  # pixels that the edge is wide


class Stamp(NamedTuple):
    """A text's pixels (height, width, 4), and where its anchor lies in them: from the left, and from below."""

    pixels: np.ndarray
    left: int
    below: int


@lru_cache(maxsize=REMEMBERED)
def extent(text: str, font: "FontProperties", ismath: Any, dpi: float) -> tuple[float, float, float]:
    """Width, height and descent of the text in pixels, before it is turned."""
    return _pen(1, 1, dpi).get_text_width_height_descent(text, font, ismath)


@lru_cache(maxsize=REMEMBERED)
def stamp(text: str, font: "FontProperties", angle: float, ismath: Any, look: Look) -> Stamp:
    """The text in its colour over its edge, turned by `angle` degrees about its anchor, where its baseline begins."""
    width, height, descent = extent(text, font, ismath, look.dpi)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(x * cos - y * sin, x * sin + y * cos) for x in (0, width) for y in (-descent, height - descent)]
    margin = look.far + 4 + round(0.2 * height)  # glyphs may reach a little out of their box
    left, below = (margin + math.ceil(max(0.0, -min(corner[i] for corner in corners))) for i in (0, 1))
    wide, high = (margin + math.ceil(max(0.0, *(corner[i] for corner in corners))) for i in (0, 1))
    pen = _pen(left + wide, below + high, look.dpi)
    context = pen.new_gc()
    context.set_foreground((0.0, 0.0, 0.0))
    pen.draw_text(context, left, high, text, font, angle, ismath)
    cover = np.asarray(pen.buffer_rgba())[..., 3] / 255
    pixels = np.zeros((*cover.shape, 4))
    pixels[..., :3], pixels[..., 3] = look.color, cover
    if look.edge is not None:
        # Text over edge: with opacities a and e it is a + e (1 - a), and the colours mix in proportion.
        behind = _widened(cover, look.far) * (1 - cover)
        pixels[..., 3] = cover + behind
        share = (cover / np.maximum(pixels[..., 3], 1e-9))[..., None]
        pixels[..., :3] = share * look.color + (1 - share) * look.edge
    return Stamp((255 * pixels).round().astype(np.uint8), left, below)


def _widened(cover: np.ndarray, far: int) -> np.ndarray:
    """The cover of nine copies laid over one another, a little off to eight sides and in the middle."""
    near = round(0.7 * far)
    sides = [(0, 0), (far, 0), (-far, 0), (0, far), (0, -far)]
    sides += [(near, near), (near, -near), (-near, near), (-near, -near)]
    bare = np.ones_like(cover)  # what no copy covers; the margin is wider than `far`, so nothing comes round
    for side in sides:
        bare *= 1 - np.roll(cover, side, (0, 1))
    return 1 - bare


def _pen(width: int, height: int, dpi: float) -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(width, height, dpi)
