"""How long a run may take, and the bar that shows how far it is."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

SHORT_BUDGET = 20


def budget(steps: int) -> int:
    """How many training steps to take: all for a student, at most 20 where nobody waits for the result.

    Short while nbgrader grades or validates (NBGRADER_EXECUTION is set) and with COURSE_BUDGET=short;
    COURSE_BUDGET=full forces the full number.
    """
    return min(steps, SHORT_BUDGET) if in_short() else steps


def in_short() -> bool:
    """Whether runs are short here, as `budget` says.

    Raises:
        ValueError: COURSE_BUDGET is neither "short", "full" nor empty.
    """
    wish = os.environ.get("COURSE_BUDGET", "")
    if wish not in ("", "short", "full"):
        raise ValueError(f'COURSE_BUDGET={wish!r}; expected "short", "full" or nothing')
    return wish == "short" or (wish == "" and bool(os.environ.get("NBGRADER_EXECUTION")))


def track(items: Iterable[Item], text: str) -> Iterator[Item]:
    """`items` one by one, with a progress bar called `text` where somebody watches.

    Example:
        `for t in track(range(T, 0, -1), "sampling"):`
    """
    items = list(items)
    with bar(True, len(items), text) as shown:
        for item in items:
            yield item
            shown.update()


def is_watched() -> bool:
    """Whether a student sits at this run: not while a notebook is graded, nor with COURSE_PROGRESS=off."""
    return os.environ.get("COURSE_PROGRESS") != "off" and not os.environ.get("NBGRADER_EXECUTION")


def bar(wanted: bool, total: int, text: str, delay: float = 0.0) -> Any:
    """A progress bar over `total` steps that appears after `delay` seconds; a mute one where nobody watches."""
    if not wanted or not is_watched():
        from tqdm import tqdm as mute  # the plain one: tqdm.auto would import ipywidgets for nothing

        return mute(total=total, disable=True)
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=text, unit="step", leave=False, delay=delay)
