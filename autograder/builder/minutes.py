"""How long a lesson takes: exercises, prose at 150 words a minute, equations and experiments at 1.5 minutes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .source import Cell, Lesson

_TABLE_ROW = re.compile(r"^\|.*$", re.M)
_MINUTES = re.compile(r"^### (?:Exercise|Step|Question).* (\d+) minutes", re.M)
_COMPARE = re.compile(r"<details><summary>Lines? \(\d+\).*?, to compare with yours</summary>.*?</details>", re.S)
_HIDDEN = re.compile(r"### BEGIN (MARK SCHEME|SOLUTION).*?### END \1", re.S)  # what a student does not get
SHORTER = re.compile(r"On the shorter path, about (\d+) minutes")
ROW = re.compile(r"^# \| (\d+)(?: \|)? [^|\n]*\| (\d+) \|$", re.M)  # a row of the table of sections


def minutes(lesson: Lesson, shorter: bool = False) -> dict[str, float]:
    """Minutes of each section, by its heading without hashes; what stands before the first is under "".

    `shorter`: without sections and parts headed Further, and without lines unfolded to be compared with one's own.
    """
    found = {"": 0.0}
    for section, _, spent in _spent(lesson, shorter):
        found[section] = found.get(section, 0.0) + spent
    return found


def announced_shorter(lesson: Lesson) -> int:
    """What the lesson says of its shorter path; else its sections but those headed Further; else what is counted."""
    if said := SHORTER.search(lesson.text):
        return int(said[1])
    further = re.findall(r"^# ## (\d+) · Further", lesson.text, re.M)
    rows = sum(int(said) for number, said in ROW.findall(lesson.text) if number not in further)
    return rows or round(sum(minutes(lesson, shorter=True).values()))


def stretches(lesson: Lesson) -> tuple[dict[str, float], float]:
    """Minutes of the shorter path from one exercise or step to the next, by the name of the one each leads to, and what
    comes after the last; in proportion, and together as many as announced.
    """
    found: dict[str, float] = {}
    run = 0.0
    for _, cell, time in _spent(lesson, shorter=True):
        run += time
        if cell.kind in ("solution", "step"):
            found[cell.name], run = run, 0.0
    scale = announced_shorter(lesson) / ((sum(found.values()) + run) or 1)
    return {name: round(scale * time, 1) for name, time in found.items()}, round(scale * run, 1)


def _spent(lesson: Lesson, shorter: bool) -> Iterator[tuple[str, Cell, float]]:
    """Section, cell and minutes, part by part."""
    section, part_is_further = "", False
    for cell in lesson.cells:
        if cell.is_code:
            yield section, cell, 1.5 * (cell.is_experiment and cell.kind != "predict") * (not part_is_further)
            continue
        for part in re.split(r"^(?=###? )", _HIDDEN.sub("", cell.source), flags=re.M):
            if heading := re.match(r"(###?) (.*)", part):
                if heading[1] == "##":
                    section = heading[2]
                    yield section, cell, 0.0
                part_is_further = shorter and "Further" in (section + heading[2])
            if part_is_further:
                continue
            text = _COMPARE.sub("", part) if shorter else part
            time = _words(text) / 150 + 1.5 * text.count(r"\tag{") + sum(map(int, _MINUTES.findall(text)))
            yield section, cell, time


def _words(text: str) -> int:
    """Words of prose: without tables, headings, folded hints and formulas (a short one counts as a word)."""
    for hidden, instead in (
        (r"\$\$.*?\$\$", " "),
        (r"<details>.*?</details>", " "),
        (r"\$[^$]*\$", " x "),
        (r"^#+ [^\n]*$", ""),
    ):
        text = re.sub(hidden, instead, text, flags=re.S | re.M)
    return len(re.findall(r"[A-Za-z][\w'’-]*", _TABLE_ROW.sub("", text)))
