"""Dates and times as people and programs write them, read into UTC without a zone, as nbgrader keeps them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

import dateutil.parser
from dateutil import tz

PLACE = re.compile(r"\s+([A-Za-z]+(?:/[A-Za-z0-9_+-]+)+)$")  # Europe/Berlin
DOTTED = re.compile(r"\b(\d\d?)\.(\d\d)(?=\s*[ap]\.?m\b)", re.I)  # 11.30pm, of which dateutil reads 11 p.m.
# Hours ahead of UTC of short names that no system's list of zones has: those of RFC 2822, and of Europe's.
SHORT = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
SHORT |= {"BST": 1, "WEST": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EEST": 3, "UTC": 0, "GMT": 0, "UT": 0, "Z": 0}
# Two days that share nothing: what a date leaves open is taken from them, and differs.
ONE, OTHER = datetime(2000, 1, 1), datetime(2004, 2, 2, 1)
LAST = timedelta(days=1, seconds=-1)


def in_utc(text: str, whole_day: bool = False) -> datetime:
    """The moment that `text` names: in the zone it names, else in UTC. "11:30 PM" is the evening; a date alone is its
    first second, or its last where a `whole_day` is meant.

    nbgrader takes the "PM" of "2031-05-24 11:30 PM" for a zone that it does not know, "+0200" for 200 seconds, and
    "CEST" for UTC.

    Raises:
        ValueError: in one line: no date, not all of one, or in a zone that is not known.
    """
    place = PLACE.search(text)
    written = DOTTED.sub(r"\1:\2", text[: place.start()] if place else text)
    try:
        first, second = (dateutil.parser.parse(written, default=day, tzinfos=_zone) for day in (ONE, OTHER))
        if first.date() != second.date():
            raise ValueError(f"{text!r} leaves year, month or day open")
        if whole_day and first.hour != second.hour:
            first += LAST
        if place:
            first = first.replace(tzinfo=_named(place[1]))
        return (first - (first.utcoffset() or timedelta())).replace(tzinfo=None)
    except dateutil.parser.ParserError:
        raise ValueError(f"{text!r} is no date") from None
    except (OverflowError, TypeError, AttributeError):  # as many kinds as parsers of dates have
        raise ValueError(f"{text!r} is no date that can be reckoned with") from None


def _zone(name: str | None, seconds: int | None) -> tzinfo | None:
    """The zone that dateutil has read as a name, as seconds ahead of UTC, or not at all."""
    if seconds is not None:
        return tz.tzoffset(name, seconds)
    return None if name is None else _named(name)


def _named(name: str) -> tzinfo:
    if name in SHORT:
        return tz.tzoffset(name, SHORT[name] * 3600)
    if (found := tz.gettz(name)) is None:
        raise ValueError(f"the time zone {name!r} is not known; write +0200, or Europe/Berlin")
    return found
