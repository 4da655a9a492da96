"""Lines that no student may be handed: of solutions, model answers, mark schemes, hints of hidden checks."""

import re
from functools import cache
from pathlib import Path

from autograder.builder.source import find_regions, read_lesson, region_text

ROOT = Path(__file__).resolve().parents[2]


@cache
def secrets_of(lesson: str) -> list[str]:
    """The lines of solutions, model answers and mark schemes, and of hidden checks: those that say something and stand
    nowhere else in the lesson.
    """
    source = ROOT / "solutions" / lesson / f"{lesson.partition('-')[2]}.py"
    hidden, given = "", ""
    for cell in read_lesson(source, ROOT).cells:
        regions = [region for mark in ("SOLUTION", "MARK SCHEME") for region in find_regions(cell.source, mark)]
        hidden += "".join(region_text(cell.source, region) + "\n" for region in regions)
        inside = {number for begin, end in regions for number in range(begin, end + 1)}
        given += "\n".join(line for number, line in enumerate(cell.source.split("\n")) if number not in inside) + "\n"
    library = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "course_lib").rglob("*.py"))
    for path in (ROOT / "autograder/lessons" / lesson.partition("-")[2]).glob("*.py"):
        hidden += "\n".join(re.findall(r'hint="(.*?)"', path.read_text(encoding="utf-8")))
    lines = {line.strip() for line in hidden.split("\n") if len(line.strip()) >= 25}
    return sorted(line for line in lines if line not in given and line not in library)
