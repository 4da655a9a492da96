"""How long a lesson takes: exercises, prose at 150 words a minute, equations and experiments at 1.5 minutes."""

from __future__ import annotations

import re

from ..builder.source import Lesson

_TABLE_ROW = re.compile(r"^\|.*$", re.M)
_MINUTES = re.compile(r"^### (?:Exercise|Step|Question).* (\d+) minutes", re.M)
_COMPARE = re.compile(r"<details><summary>Lines? \(\d+\).*?, to compare with yours</summary>.*?</details>", re.S)
_HIDDEN = re.compile(r"### BEGIN (MARK SCHEME|SOLUTION).*?### END \1", re.S)  # what a student does not get


def minutes(lesson: Lesson, shorter: bool = False) -> dict[str, float]:
    """Minutes of each section, by its heading without hashes; what stands before the first is under "".

    `shorter`: without sections and parts headed Further, and without lines unfolded to be compared with one's own.
    """
    section, part_is_further, found = "", False, {"": 0.0}
    for cell in lesson.cells:
        if cell.is_code:
            found[section] += 1.5 * (cell.is_experiment and cell.kind != "predict") * (not part_is_further)
            continue
        for part in re.split(r"^(?=###? )", _HIDDEN.sub("", cell.source), flags=re.M):
            if heading := re.match(r"(###?) (.*)", part):
                if heading[1] == "##":
                    section = heading[2]
                    found[section] = 0.0
                part_is_further = shorter and "Further" in (section + heading[2])
            if part_is_further:
                continue
            text = _COMPARE.sub("", part) if shorter else part
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
