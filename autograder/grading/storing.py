"""Results put in their places, several at once, so that what goes wrong with one costs that one alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ..feedback.writer import FeedbackWriter
from ..hand_in.finding import Entry
from ..hand_in.restoring import Master
from .finished import Finished
from .gradebook import GradebookWriter, for_release
from .graded import NOT_GRADED, Graded, not_graded


def stored(
    came: Mapping[Entry, Graded], masters: Mapping[str, Master], book: GradebookWriter, feedback: FeedbackWriter
) -> dict[Entry, Graded]:
    """What `came`, with marks, notebook and page in their places, each all of it or nothing. What keeps one out, which
    is then "not graded", is no fault of its own.

    All are stored in one transaction; where that fails, each in its own.
    """
    results, good = dict(came), {entry: one for entry, one in came.items() if one.status != NOT_GRADED}
    if error := _put(good, masters, book, feedback):
        for entry, one in good.items():
            alone = error if len(good) == 1 else _put({entry: one}, masters, book, feedback)
            if alone is not None:
                results[entry] = not_graded(one.student, one.lesson, alone, one.seconds)
    for entry in (entry for entry, one in results.items() if one.status == NOT_GRADED):
        with suppress(Exception):
            book.enrol(entry.student)  # an export then shows that something is missing
    return results


def _put(
    results: Mapping[Entry, Graded], masters: Mapping[str, Master], book: GradebookWriter, feedback: FeedbackWriter
) -> Exception | None:
    """Put all of them into their places, or say why none is there."""
    try:
        with book.all_or_nothing() as files:
            finished = [_finished(entry, one, masters[entry.lesson]) for entry, one in results.items()]
            book.write_all(finished, files)
            feedback.write_all(finished, files)
    except Exception as error:
        return error
    return None


def _finished(entry: Entry, graded: Graded, master: Master) -> Finished:
    release = for_release(entry.place, graded.student, graded.lesson, master.secret)
    return Finished(graded, master.name, entry.place, release)
