"""How long a lesson takes: exercises, prose at 150 words a minute, equations and experiments at 1.5 minutes."""

from __future__ import annotations

import re

from autograder.builder.source import Lesson

_TABLE_ROW = re.compile(r"^\|.*$", re.M)
_MINUTES = re.compile(r"^### (?:Exercise|Step|Question).* (\d+) minutes", re.M)
_HIDDEN = re.compile(r"### BEGIN (MARK SCHEME|SOLUTION).*?### END \1", re.S)  # what a student does not get


def minutes(lesson: Lesson) -> dict[str, float]:
    """Minutes of each section, by its heading without hashes; what stands before the first is under ""."""
    section, found = "", {"": 0.0}
    for cell in lesson.cells:
        if cell.is_code:
            found[section] += 1.5 * (cell.is_experiment and cell.kind != "predict")
            continue
        for part in re.split(r"^(?=## )", cell.source, flags=re.M):
            if heading := re.match(r"## (.*)", part):
                section = heading[1]
                found[section] = 0.0
            text = _HIDDEN.sub("", part)
            found[section] += _words(text) / 150 + 1.5 * text.count(r"\tag{") + sum(map(int, _MINUTES.findall(text)))
    return found


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
