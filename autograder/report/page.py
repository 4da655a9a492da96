"""A report as one page that holds all it needs: no network, no script, readable on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from course_lib.ink import PAGES
from course_lib.style import COLOR

from ..feedback.markup import readable
from ..feedback.page import POLICY
from ..grading.lateness import said
from . import figures
from .alike import ALIKE, SAME
from .attention import POOR
from .numbers import percent, shown
from .summary import Summary


def span(seconds: float) -> str:
    """How late: 2 d 3 h, 45 min."""
    late = timedelta(seconds=round(seconds))
    hours, minutes = late.seconds // 3600, late.seconds % 3600 // 60
    if late.days:
        return f"{late.days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{late.seconds} s"


def page(summaries: Sequence[Summary], names: bool, made: datetime) -> str:
    """The page's HTML."""
    loader = FileSystemLoader(Path(__file__).parent)
    made_by = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made_by.filters.update(percent=percent, number=shown, span=span, said=said, readable=readable)
    pictures = [
        {
            "marks": figures.marks(one) if one.students else None,
            "success": figures.success(one.exercises) if one.exercises else None,
            "discrimination": figures.discrimination(one.exercises) if one.exercises else None,
            "alike": figures.alike(one) if one.similarities else None,
        }
        for one in summaries
    ]
    bounds = {"alike": ALIKE, "same": SAME, "poor": POOR}
    return made_by.get_template("report.html.j2").render(
        lessons=list(zip(summaries, pictures, strict=True)),
        names=names,
        made=made,
        policy=POLICY,
        light=PAGES[0],
        dark=PAGES[1],
        color=COLOR,
        bounds=bounds,
    )
