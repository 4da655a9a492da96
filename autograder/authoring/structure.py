"""What a lesson promises about itself, held against its cells: minutes, a shorter path, a schematic, how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..builder.minutes import ROW, SHORTER, minutes
from ..builder.names import cell_names
from ..builder.source import Lesson, Problem

ENDINGS = ["Test yourself", "What comes next", "References"]


def problems(lesson: Lesson) -> Iterator[Problem]:
    """All that is promised and not kept."""
    yield from announced(lesson)
    yield from shorter(lesson)
    yield from further(lesson)
    yield from ends(lesson)


def announced(lesson: Lesson) -> Iterator[Problem]:
    """The table of contents has a row for each section, `# | 2 | One small step | 52 |`, with honest minutes: within a
    tenth in all and a third in each section. What is counted by rule, an author may know better.
    """
    ruled = {match[1]: value for name, value in minutes(lesson).items() if (match := re.match(r"(\d+) · ", name))}
    rows = {found[1]: (int(found[2]), _line(lesson, found.start())) for found in ROW.finditer(lesson.text)}
    for number, (told, line) in rows.items():
        if number not in ruled:
            yield lesson.problem(line, f"the contents have a section {number}, and no heading says ## {number} · …")
        elif abs(told - ruled[number]) > max(4, ruled[number] / 3):
            yield lesson.problem(line, f"section {number} takes about {ruled[number]:.0f} minutes, not {told}")
    for number in ruled.keys() - rows.keys():
        row = f"# | {number} | … | {ruled[number]:.0f} |"
        yield lesson.problem(1, f"the contents lack a row for section {number}, such as {row}")
    said, all_ = sum(told for told, _ in rows.values()), sum(ruled.values())
    if rows and abs(said - all_) > 0.1 * all_:
        yield lesson.problem(next(iter(rows.values()))[1], f"the sections take about {all_:.0f} minutes, not {said}")


def shorter(lesson: Lesson) -> Iterator[Problem]:
    """The shorter path, without what is headed Further and without lines to compare with one's own, is as short as it
    says; a tenth is an author's.
    """
    if found := SHORTER.search(lesson.text):
        true = sum(minutes(lesson, shorter=True).values())
        if abs(int(found[1]) - true) > 0.1 * true:
            line = _line(lesson, found.start())
            yield lesson.problem(line, f"the shorter path takes about {true:.0f} minutes, not {found[1]}")


def further(lesson: Lesson) -> Iterator[Problem]:
    """Nothing needs a section or part that is headed Further."""
    section, part = False, False
    last: dict[str, tuple[bool, int]] = {}
    for cell in lesson.cells:
        if not cell.is_code:
            for level, heading in re.findall(r"^(###?) (?!BEGIN|END)(.*)$", cell.source, re.M):
                section, part = ("Further" in heading, False) if level == "##" else (section, "Further" in heading)
            continue
        skipped = section or (part and cell.kind in ("solution", "step"))  # a part's given code runs, read or not
        names = cell_names(cell.tree)
        if not skipped:
            for name in sorted(names.needed):
                if name in last and last[name][0]:
                    text = f"{name}, headed Further, is needed at line {cell.line}: whoever skips it cannot go on"
                    yield lesson.problem(last[name][1], text)
        last |= dict.fromkeys(names.bound, (skipped, cell.line))


def ends(lesson: Lesson) -> Iterator[Problem]:
    """One schematic, and the same last headings everywhere."""
    drawn = [cell.line for cell in lesson.cells if "schematic.canvas(" in cell.source]
    if len(drawn) != 1:
        yield lesson.problem(
            (drawn + drawn + [1])[1] if drawn else 1,
            f"a lesson has one schematic, drawn by schematic.canvas(…); this one has {len(drawn) or 'none'}",
        )
    headings = re.findall(r"^#{2,3} (.*)$", "\n".join(c.source for c in lesson.cells if not c.is_code), re.M)
    if headings[-3:] != ENDINGS:
        yield lesson.problem(lesson.cells[-1].line, f"a lesson ends with the headings ### {', ### '.join(ENDINGS)}")


def _line(lesson: Lesson, place: int) -> int:
    return lesson.text.count("\n", 0, place) + 1
