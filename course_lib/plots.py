"""Figures in the course's style. Matplotlib is imported when the first one is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from course_lib.picture import DPI, show
from course_lib.style import CLASS_COLORS, COLOR, GAP, PAGE_WIDTH, PAPER, figure, use_style
from course_lib.training import History

__all__ = [
    "CLASS_COLORS",
    "COLOR",
    "cells",
    "curve",
    "figure",
    "guess",
    "history",
    "image_grid",
    "legend_beside",
    "scatter",
    "show",
    "use_style",
]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curve(
    x: Any,
    y: Any,
    role: str = "model",
    *,
    label: str | None = None,
    error: Any = None,
    ax: "Axes | None" = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
    **line: Any,
) -> tuple["Figure", "Axes"]:
    """A line in the colour of its role; role "exact" is dashed, "guess" dotted.

    Args:
        x, y: tensors, arrays or lists of one length.
        role: a key of `COLOR`.
        error: one standard error of y, drawn as a band of two.
        line: further options of `Axes.plot`.
    """
    fig, ax = _axes(ax)
    x, y = _array(x), _array(y)
    look = {"color": _color(role), "label": label, **_LINE.get(role, {}), **line}
    ax.plot(x, y, **look)
    if error is not None:
        band = 2 * _array(error)
        ax.fill_between(x, y - band, y + band, color=look["color"], alpha=0.2, linewidth=0)
    _name(ax, xlabel, ylabel, title)
    if label:
        ax.legend()
    return fig, ax


def scatter(
    points: Any,
    role: str = "data",
    *,
    classes: Any = None,
    label: str | None = None,
    ax: "Axes | None" = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
    size: float = 8,
) -> tuple["Figure", "Axes"]:
    """Points (N, 2) in the plane, with one scale on both axes.

    With `classes`, integers 0..9 of shape (N,), each class has its colour and its number stands at its
    median.
    """
    points = _array(points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"scatter: expected points (N, 2), got {points.shape}")
    extent = np.ptp(points, axis=0)
    fig, ax = _axes(ax, 4.8, 0.9 + 3.9 * float(np.clip(extent[1] / max(extent[0], 1e-9), 0.4, 1.2)))
    if classes is None:
        look: dict[str, Any] = {"color": _color(role), "alpha": 0.7, "linewidths": 0}
        ax.scatter(points[:, 0], points[:, 1], s=size, label=label, **look)
    else:
        classes = _array(classes).astype(int)
        present = np.unique(classes)
        colors = np.array([_rgb(color) for color in CLASS_COLORS])[classes % 10]
        drawn = np.argsort(classes, kind="stable")  # one class upon the other
        ax.scatter(points[drawn, 0], points[drawn, 1], s=size, c=colors[drawn], alpha=0.7, linewidths=0)
        for k in present:
            middle = np.median(points[classes == k], axis=0)
            _outlined(ax, middle[0], middle[1], str(k), CLASS_COLORS[k % 10])
    ax.set_aspect("equal", adjustable="datalim")
    _name(ax, xlabel, ylabel, title)
    if label:
        ax.legend()
    return fig, ax


def image_grid(
    images: Any,
    columns: int,
    ax: "Axes | None" = None,
    *,
    title: str | None = None,
    gap: int = 1,
    labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    range: tuple[float, float] = (0, 1),
    zoom: int | None = None,
) -> tuple["Figure", "Axes"]:
    """Grey images side by side, row by row, `gap` pixels apart, without interpolation or ticks.

    Args:
        images: (N, H*W) for square images, (N, H, W) or (N, 1, H, W).
        labels: one per row, written to its left; or one per image, written above it.
        column_labels: one per column, written on top.
        range: the values shown black and white; values outside are clipped.
        zoom: pixels on the page per image pixel, where the figure is made here; default: what fits, 1 to 12.
    """
    tiles = (_tiles(images) - range[0]) / (range[1] - range[0])
    count, height, width = tiles.shape
    rows = -(-count // columns)
    above = labels is not None and len(labels) == count and columns > 1
    if labels is not None and not above and len(labels) != rows:
        expected = f"one per row ({rows}) or one per image ({count})"
        raise ValueError(f"image_grid: expected labels {expected}, got {len(labels)}")
    if column_labels is not None and len(column_labels) != columns:
        raise ValueError(f"image_grid: expected {columns} column labels, got {len(column_labels)}")
    zoom = zoom or max(1, min(12, PAGE_WIDTH // (columns * (width + gap))))
    strip = -(-20 // zoom) if above else 0  # rows of pixels that make room for a line of text
    left = np.arange(columns) * (width + gap)
    top = np.arange(rows) * (height + strip + gap) + strip
    canvas = np.empty((top[-1] + height, left[-1] + width, 4))  # with its opacity
    canvas[:] = (0, 0, 0, 0) if above else (*_rgb(GAP), 1)
    for i, tile in enumerate(tiles):
        y, x = top[i // columns], left[i % columns]
        canvas[y : y + height, x : x + width, :3] = tile.clip(0, 1)[..., None]
        canvas[y : y + height, x : x + width, 3] = 1
    canvas[top[-1] :, left[(count - 1) % columns] + width :] = 0  # the last row may be shorter

    margin = 0.09 * max(map(len, labels)) if labels is not None and not above else 0.0
    header = 0.35 * bool(title) + 0.25 * bool(column_labels)
    size = canvas.shape[1] * zoom / DPI + margin + 0.1, canvas.shape[0] * zoom / DPI + header + 0.1
    fig, ax = _axes(ax, *size)
    ax.imshow(canvas, interpolation="nearest")
    ax.set_anchor("W")  # centred, the picture would move towards its labels after room has been made for them
    ax.spines[:].set_visible(False)
    ax.grid(False)
    ax.tick_params(length=0, pad=3)
    ax.xaxis.tick_top()
    ax.set_xticks(*([left + (width - 1) / 2, column_labels] if column_labels is not None else [[]]))
    ax.set_yticks(*([top + (height - 1) / 2, labels] if labels is not None and not above else [[]]))
    for i, text in enumerate(labels if labels is not None and above else []):
        middle = left[i % columns] + (width - 1) / 2
        ax.text(middle, top[i // columns] - 0.5 - strip / 2, text, ha="center", va="center", fontsize=9)
    _name(ax, None, None, title)
    return fig, ax


def cells(
    values: Any,
    kinds: dict[str, str | None],
    ax: "Axes | None" = None,
    *,
    text: Any = None,
    title: str | None = None,
    legend: bool = True,
) -> tuple["Figure", "Axes"]:
    """A small table as squares, one for each entry, coloured by what it is: masks, contexts, who depends on whom.

    Args:
        values: integers (H, W); k stands for the k-th of `kinds`.
        kinds: name -> role in `COLOR`, or None for a square left empty. The names stand in the legend.
        text: (H, W), written into the squares; a square without colour and without text differs by colour alone.
    """
    values = _array(values).astype(int)
    if values.ndim != 2 or values.size == 0 or values.min() < 0 or values.max() >= len(kinds):
        raise ValueError(f"cells: expected integers (H, W) from 0 to {len(kinds) - 1}, got shape {values.shape}")
    from matplotlib.patches import Patch, Rectangle

    height, width = values.shape
    side = min(0.5, 5.0 / max(height, width))
    fig, ax = _axes(ax, width * side + 1.0 + 1.6 * legend, height * side + 0.6)
    looks: list[dict[str, Any]] = [
        {"facecolor": _color(role) if role else "none", "edgecolor": COLOR["noise"]} for role in kinds.values()
    ]
    for (row, column), kind in np.ndenumerate(values):
        ax.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, linewidth=0.7, **looks[kind]))
        if text is not None:
            dark = list(kinds.values())[kind] is not None
            written = str(text[row][column])
            ax.text(column, row, written, ha="center", va="center", fontsize=9, color=PAPER if dark else None)
    ax.set(xlim=(-0.6, width - 0.4), ylim=(height - 0.4, -0.6), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    ax.grid(False)
    if legend:
        used = [
            Patch(label=name, **look) for k, (name, look) in enumerate(zip(kinds, looks, strict=True)) if k in values
        ]
        ax.legend(handles=used, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _name(ax, None, None, title)
    return fig, ax


def history(
    run: History,
    *,
    ax: "Axes | None" = None,
    role: str = "model",
    label: str | None = None,
    exact: float | None = None,
    exact_label: str = "exact optimum",
    title: str | None = None,
) -> tuple["Figure", "Axes"]:
    """A training run: every batch's loss in the background, its running mean in front, the exact optimum
    dashed.

    The axis leaves out the first steps' far higher losses, so that what is learned later can be seen.
    """
    fig, ax = _axes(ax)
    steps, losses, smooth = _array(run.steps), _array(run.losses), _array(run.smoothed())
    ax.plot(steps, losses, color=_color(role), alpha=0.2, linewidth=0.6)
    ax.plot(steps, smooth, color=_color(role), label=label)
    shown = losses[len(losses) // 20 :]
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if exact is not None:
        ax.axhline(exact, color=_color("exact"), label=f"{exact_label} {exact:.4g}", **_LINE["exact"])
        low = min(low, exact)
    pad = 0.05 * (high - low) or 0.05
    ax.set_ylim(low - pad, high + pad)
    _name(ax, "training step", run.label, title)
    if label or exact is not None:
        ax.legend()
    return fig, ax


def guess(
    ax: "Axes",
    *,
    x: float | None = None,
    y: float | None = None,
    label: str = "your prediction",
) -> None:
    """Draw what the student predicted, as a dotted line at `x` (vertical) or at `y` (horizontal)."""
    if (x is None) == (y is None):
        raise ValueError("guess: give x (a vertical line) or y (a horizontal one)")
    look = {"color": _color("guess"), "label": label, **_LINE["guess"]}
    ax.axvline(x, **look) if x is not None else ax.axhline(y, **look)  # type: ignore[arg-type]
    ax.legend()


def legend_beside(ax: "Axes") -> None:
    """The legend right of the axes, where no line crosses it. Comes last: a later `guess` or `curve` would undo it."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


_LINE: dict[str, dict[str, Any]] = {
    "exact": {"linestyle": (0, (5, 2.5)), "linewidth": 1.6, "zorder": 3},
    "guess": {"linestyle": (0, (1, 1.6)), "linewidth": 2.4, "zorder": 3},
}


def _axes(ax: "Axes | None", width: float = 6.0, height: float = 3.6) -> tuple["Figure", "Axes"]:
    if ax is None:
        return figure(width=width, height=height)
    return ax.figure, ax  # type: ignore[return-value]


def _color(role: str) -> str:
    if role not in COLOR:
        raise ValueError(f"role={role!r}; expected one of {', '.join(COLOR)}")
    return COLOR[role]


def _array(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        # bfloat16 is unknown to NumPy
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def _tiles(images: Any) -> np.ndarray:
    """(N, H, W) from (N, H*W), (N, H, W) or (N, 1, H, W)."""
    array = _array(images).astype(float)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        side = round(array.shape[1] ** 0.5)
        if side * side == array.shape[1]:
            array = array.reshape(-1, side, side)
    if array.ndim != 3 or len(array) == 0:
        raise ValueError(f"image_grid: expected (N, H*W), (N, H, W) or (N, 1, H, W), got {array.shape}")
    return array


def _rgb(color: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(color)


def _outlined(ax: "Axes", x: float, y: float, text: str, color: str) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground=PAPER)]
    look: dict[str, Any] = {"fontsize": 14, "fontweight": "bold", "ha": "center", "va": "center"}
    ax.text(x, y, text, color=color, path_effects=halo, **look)


def _name(ax: "Axes", xlabel: str | None, ylabel: str | None, title: str | None) -> None:
    if xlabel is not None:
        ax.set_xlabel(xlabel)
    if ylabel is not None:
        ax.set_ylabel(ylabel)
    if title is not None:
        ax.set_title(title)
