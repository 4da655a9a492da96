"""Schematics: a lesson's story as nodes, arrows and labels, in the course's style.

    fig, ax = schematic.canvas(7, 2)                        # inches, which are the coordinates too
    z = schematic.node(ax, (1, 1), "$z$", "prior")
    x = schematic.node(ax, (4, 1), "$x$", "data", shape="box")
    schematic.arrow(ax, z, x, "decoder $p_\\theta(x \\mid z)$", "model")
    schematic.arrow(ax, x, z, "encoder", "posterior", bend=-0.4, dashed=True)
    plots.show(fig, alt="…")

A circle is a variable, a box something computed or observed; a dashed arrow or outline is what a story says and nobody
computes. Colours are those of the roles in `plots.COLOR`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from course_lib.plots import image_grid
from course_lib.style import COLOR, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]
Shape = Literal["circle", "box"]
DASHED = (0, (4, 2.5))
GREY = "#808080"
GAP = 0.05  # inches between a node's border and an arrow's end


@dataclass(frozen=True)
class Node:
    """Something drawn, where arrows start and end: its centre, and half its width and height, in inches."""

    center: Point
    half: Point
    shape: Shape

    def border(self, toward: Point) -> Point:
        """The point of the border on the straight line from the centre to `toward`, `GAP` outside."""
        way = np.subtract(toward, self.center)
        distance = float(np.hypot(*way))
        if distance == 0:
            raise ValueError("border: the point is the node's own centre")
        half = np.asarray(self.half)
        share = 1 / float(np.hypot(*(way / half)) if self.shape == "circle" else (abs(way) / half).max())
        end = np.asarray(self.center) + way * (share + GAP / distance)
        return float(end[0]), float(end[1])


def canvas(width: float, height: float) -> tuple["Figure", "Axes"]:
    """An empty drawing of this size; its coordinates are inches, (0, 0) at the lower left."""
    fig, ax = figure(width=width, height=height)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    fig.set_layout_engine("none")
    ax.set_position((0, 0, 1, 1))
    return fig, ax


def node(
    ax: "Axes",
    center: Point,
    text: str = "",
    role: str | None = None,
    *,
    shape: Shape = "circle",
    size: Point | float = 0.56,
    dashed: bool = False,
    fontsize: float = 13,
) -> Node:
    """Draw a circle or a box of this size (a number, or width and height) with a text in it.

    Args:
        role: a key of `COLOR`, for outline and a light tint; None draws in grey.
        dashed: the outline of what is not observed.
    """
    from matplotlib.patches import Ellipse, FancyBboxPatch

    width, height = (size, size) if isinstance(size, int | float) else size
    color = _color(role)
    patch: Any
    if shape == "circle":
        patch = Ellipse(center, width, height)
    elif shape == "box":
        corner = (center[0] - width / 2 + 0.08, center[1] - height / 2 + 0.08)
        patch = FancyBboxPatch(corner, width - 0.16, height - 0.16, boxstyle="round,pad=0.08")
    else:
        raise ValueError(f'node: shape={shape!r}; expected "circle" or "box"')
    patch.set(facecolor=(*_rgb(color), 0.14), edgecolor=color, linewidth=1.6, linestyle=DASHED if dashed else "-")
    ax.add_patch(patch)
    ax.text(*center, text, ha="center", va="center", fontsize=fontsize, linespacing=1.25)
    return Node(center, (width / 2, height / 2), shape)


def picture(ax: "Axes", center: Point, image: Any, size: float = 0.8, **grid: Any) -> Node:
    """Draw an image, (H*W,) or (H, W), as a square node. `grid`: options of `plots.image_grid`, such as `range`."""
    inset = ax.inset_axes((center[0] - size / 2, center[1] - size / 2, size, size), transform=ax.transData)
    image_grid(np.asarray(image)[None], 1, ax=inset, **grid)
    return Node(center, (size / 2, size / 2), "box")


def arrow(
    ax: "Axes",
    start: Node | Point,
    end: Node | Point,
    text: str = "",
    role: str | None = None,
    *,
    bend: float = 0.0,
    dashed: bool = False,
    offset: float = 0.16,
    fontsize: float = 11,
) -> None:
    """Draw an arrow from border to border, with a text beside its middle.

    Args:
        bend: how far the middle is off the straight line, in inches; positive to the left of the way.
        offset: how far the text is off the arrow's middle, to the same side (to the left where there is no bend).
    """
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    first, last = _center(start), _center(end)
    way = np.subtract(last, first)
    length = float(np.hypot(*way))
    if length == 0:
        raise ValueError("arrow: it starts where it ends")
    left = np.array([-way[1], way[0]]) / length
    middle = (np.asarray(first) + last) / 2 + 2 * bend * left  # a parabola's handle is twice as far off as its middle
    handle = (float(middle[0]), float(middle[1]))
    begin = start.border(handle) if isinstance(start, Node) else start
    finish = end.border(handle) if isinstance(end, Node) else end
    color = _color(role)
    path = Path([begin, handle, finish], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    style = "-|>,head_length=5,head_width=2.6"
    look: dict[str, Any] = {"color": color, "linewidth": 1.6, "linestyle": DASHED if dashed else "-", "fill": False}
    ax.add_patch(FancyArrowPatch(path=path, arrowstyle=style, mutation_scale=1, shrinkA=0, shrinkB=0, **look))
    if text:
        side = -1 if bend < 0 else 1
        at = (np.asarray(begin) + finish) / 4 + np.asarray(handle) / 2 + side * offset * left
        label(ax, (float(at[0]), float(at[1])), text, fontsize=fontsize)


def label(ax: "Axes", at: Point, text: str, *, fontsize: float = 11, align: str = "center") -> None:
    """Write a text around (or, with align="left" or "right", from) a point."""
    ax.text(*at, text, ha=align, va="center", fontsize=fontsize, linespacing=1.25)


def _center(place: Node | Point) -> Point:
    return place.center if isinstance(place, Node) else place


def _color(role: str | None) -> str:
    if role is None:
        return GREY
    if role not in COLOR:
        raise ValueError(f"role={role!r}; expected one of {', '.join(COLOR)}")
    return COLOR[role]


def _rgb(color: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(color)
