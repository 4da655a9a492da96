"""The report for programs: JSON with everything, and a CSV for each kind of line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from .numbers import Estimate
from .summary import Summary

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute


def as_json(summaries: Sequence[Summary], names: bool, made: datetime) -> str:
    """Everything but the similarities of pairs that are not listed."""
    lessons = []
    for one in summaries:
        held = asdict(one)
        del held["similarities"]
        lessons.append(held)
    about = {"made": made.isoformat(), "names": names, "lessons": lessons}
    return json.dumps(about, indent=1, ensure_ascii=False, default=str) + "\n"


def tables(summaries: Sequence[Summary]) -> dict[str, str]:
    """CSV files by name; numbers with an interval have three columns."""
    lines: dict[str, list[dict[str, Any]]] = {
        "exercises": [line for one in summaries for line in _exercises(one)],
        "checks": [line for one in summaries for line in _checks(one)],
        "mistakes": [line for one in summaries for line in _mistakes(one)],
        "students": [line for one in summaries for line in _students(one)],
        "alike": [line for one in summaries for line in _alike(one)],
    }
    return {f"{name}.csv": _csv(held) for name, held in lines.items()}


def _exercises(one: Summary) -> Iterator[dict[str, Any]]:
    for exercise in one.exercises:
        yield {
            "lesson": one.lesson,
            "exercise": exercise.name,
            "points": exercise.points,
            "hand_ins": exercise.count,
            **_three("full_marks", exercise.passed),
            **_three("points_lost", exercise.lost),
            **_three("discrimination", exercise.discrimination),
            "named": exercise.named,
            "unnamed": exercise.unnamed,
            "not_written": exercise.unwritten,
            "to_mark": exercise.waiting,
            "remarks": " ".join(remark.text for remark in one.remarks if remark.exercise == exercise.name),
        }


def _checks(one: Summary) -> Iterator[dict[str, Any]]:
    for exercise in one.exercises:
        for check in exercise.checks:
            about = {"lesson": one.lesson, "exercise": exercise.name, "check": check.what}
            yield {**about, **_three("passed", check.passed), **_three("discrimination", check.discrimination)}


def _mistakes(one: Summary) -> Iterator[dict[str, Any]]:
    for exercise in one.exercises:
        for mistake in exercise.mistakes:
            about = {"lesson": one.lesson, "exercise": exercise.name, "mistake": mistake.name, "count": mistake.count}
            yield {**about, **_three("share", mistake.share), "hint": mistake.hint}


def _students(one: Summary) -> Iterator[dict[str, Any]]:
    for student in one.students:
        about = {"lesson": one.lesson, "student": student.name, "status": student.status, "points": student.points}
        about |= {"to_mark": student.waiting, "late_seconds": student.late, "penalty": student.penalty}
        yield {**about, "times": student.times, "flags": "; ".join(student.flags)}
    for status, names in (("nothing handed in", one.nothing), ("waits to be graded", one.ungraded)):
        yield from ({"lesson": one.lesson, "student": name, "status": status} for name in names)


def _alike(one: Summary) -> Iterator[dict[str, Any]]:
    for pair in one.alike:
        about = {"lesson": one.lesson, "one": pair.one, "other": pair.other, **_three("similarity", pair.similarity)}
        yield {**about, "exercises": " ".join(pair.exercises), "mistakes_in_common": "; ".join(pair.mistakes)}


def _three(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _csv(lines: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if lines:
        columns = dict.fromkeys(key for line in lines for key in line)
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in line.items()} for line in lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value that a spreadsheet takes for a number or for text, never for a formula."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
