"""The report's figures, by the course's own plots: as wide as a phone, on no background, in ink that reads on any."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from course_lib.picture import render, small
from course_lib.style import COLOR, figure

from .alike import ALIKE
from .attention import POOR
from .numbers import Estimate
from .summary import Exercise, Summary

WIDTH = 3.56  # inches: 356 pixels, on a phone of 390


class Picture(NamedTuple):
    """A PNG as a page holds it, with the text for those who do not see it."""

    data: str
    width: int
    height: int
    alt: str


def marks(summary: Summary) -> Picture:
    """How many hand-ins have how many points."""
    points = [one.points for one in summary.students]
    top = max(summary.max_points, 1.0)
    fig, ax = figure(width=WIDTH, height=2.3)
    ax.hist(points, bins=np.linspace(0, top, min(int(top), 30) + 1), color=COLOR["data"], alpha=0.8)
    said = f"{len(points)} hand-ins, no mean"
    if summary.mean.value is not None:
        ax.axvline(summary.mean.value, color=COLOR["exact"], linestyle=(0, (5, 2.5)), linewidth=1.6)
        said = f"{len(points)} hand-ins, on average {summary.mean.value:.1f} of {summary.max_points:g} points"
    ax.set(xlabel="points, the mean dashed", ylabel="hand-ins", xlim=(0, top))
    ax.set_title(f"{len(points)} hand-ins", fontsize=11)
    return _picture(fig, f"Histogram of points: {said}.")


def success(exercises: Sequence[Exercise]) -> Picture:
    """Who has full marks, exercise by exercise."""
    found = [(one.name, one.passed) for one in exercises]
    fig, ax = _intervals(found, "data", "share with full marks", (0, 1))
    ax.xaxis.set_major_formatter(lambda value, place: f"{100 * value:.0f}%")
    shares = [(one.value, name) for name, one in found if one.value is not None]
    told = "The least, {:.0%}, have them in {}.".format(*min(shares)) if shares else ""
    return _picture(fig, f"Share of hand-ins with full marks in each exercise, with 95% intervals. {told}".strip())


def discrimination(exercises: Sequence[Exercise]) -> Picture:
    """How well each exercise tells those who do well elsewhere from those who do not."""
    found = [(one.name, one.discrimination) for one in exercises]
    fig, ax = _intervals(found, "posterior", "correlation with the others", (-0.5, 1))
    ax.axvline(POOR, color=COLOR["exact"], linestyle=(0, (5, 2.5)), linewidth=1.2)
    ax.axvline(0, color="#808080", linewidth=0.8)
    poor = [name for name, one in found if one.high is not None and one.high < POOR]
    told = (
        f"Below {POOR:g} with their whole interval: {', '.join(poor)}."
        if poor
        else f"None is below {POOR:g} with its whole interval."
    )
    return _picture(fig, f"Correlation of each exercise's points with those of all others, with 95% intervals. {told}")


def alike(summary: Summary) -> Picture:
    """Every two students' similarity, and those that are listed."""
    values = np.array(summary.similarities)
    listed = [pair.similarity.value or 0.0 for pair in summary.alike]
    edges = np.linspace(0, 1, 41)
    fig, ax = figure(width=WIDTH, height=2.3)
    all_, _ = np.histogram(values.clip(0, 1), edges)
    those, _ = np.histogram(np.clip(listed, 0, 1), edges)
    ax.bar(edges[:-1], all_, 0.025, align="edge", color=COLOR["noise"], label="all pairs")
    ax.bar(edges[:-1], those, 0.025, align="edge", color=COLOR["model"], label="listed pairs")
    ax.axvline(ALIKE, color=COLOR["exact"], linestyle=(0, (5, 2.5)), linewidth=1.2)
    ax.set(yscale="log", xlabel="similarity of rare code", ylabel="pairs", xlim=(0, 1))
    ax.set_ylim(bottom=0.7)
    ax.legend(loc="upper right", fontsize=9)
    ax.set_title(f"{len(listed)} of {len(values)} pairs stand out", fontsize=11)
    return _picture(fig, f"Histogram of the similarity of all {len(values)} pairs; {len(listed)} are listed below.")


def _intervals(
    found: Sequence[tuple[str, Estimate]], role: str, label: str, span: tuple[float, float]
) -> tuple[Any, Any]:
    fig, ax = figure(width=WIDTH, height=0.9 + 0.24 * len(found))
    for place, (_, one) in enumerate(found):
        if one.value is None:
            continue
        if one.low is not None:
            ax.plot([one.low, one.high], [place, place], color=COLOR[role], linewidth=2)
        ax.plot([one.value], [place], marker="o", markersize=5, color=COLOR[role], linestyle="none")
    ax.set_yticks(range(len(found)), [name if len(name) <= 25 else f"{name[:24]}…" for name, _ in found], fontsize=7.5)
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_xlim(*span)
    ax.set_xlabel(label, fontsize=9.5)
    ax.tick_params(axis="x", labelsize=9)
    return fig, ax


def _picture(fig: Any, alt: str) -> Picture:
    image, (width, height) = render(fig, few_colours=True)
    return Picture(base64.b64encode(small(image)).decode(), width, height, alt)
