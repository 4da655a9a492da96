"""What marking costs, here and by the build of b983290, side by side: processor time of marking right answers.

    python -m benchmarks.marking [--then CHECKOUT] [--students 60] [--rounds 3]

Both builds mark the reference of each exercise that both have, under the names of a class, in one process that holds
the answers as well; rounds of the two take turns, and the median of each counts. What the answers' own side takes,
reading and writing what crosses among it, stands apart. Writes results/marking.{json,md} beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

from .grading import COMMIT, INSIDE, RESULTS, ROOT, Build, build_of_then, processor, say

FIRST = 4  # students; by then few inputs have come twice
Spent = tuple[float, float]  # milliseconds on the average, and those of the answers' side
Round = dict[str, dict[str, Spent]]  # of the first students, and of all, by exercise


def measured(build: Build, students: int, work: Path) -> Round:
    """One round of a build."""
    file = work / "marks.json"
    build.run(str(INSIDE), "marks", str(file), str(students))
    each = json.loads(file.read_text())

    def averages(few: int | None) -> dict[str, Spent]:
        return {
            name: (mean(s[0] for s in spent[:few]), mean(s[1] for s in spent[:few])) for name, spent in each.items()
        }

    return {"first": averages(FIRST), "all": averages(None)}


def sums(rounds: list[Round], who: str, names: list[str]) -> Spent:
    """Milliseconds for marking all of `names` once, by the median round."""
    every = [[sum(one[who][name][i] for name in names) for one in rounds] for i in (0, 1)]
    return median(every[0]), median(every[1])


def report(then: list[Round], now: list[Round], students: int, about: str) -> str:
    """The sums and their ratios, in Markdown."""
    names = [name for name in now[0]["all"] if name in then[0]["all"]]
    lines = [
        f"# Marking: the build of {COMMIT} and this one",
        "",
        f"The references of {len(names)} exercises, marked once each: processor time in ms, {about}. Made by "
        "`python -m benchmarks.marking`.",
        "",
        "| | then | now | ratio |",
        "|---|--:|--:|--:|",
    ]
    for who, told in (("first", f"the first {FIRST} students"), ("all", f"a class of {students}")):
        (before, theirs), (after, theirs_now) = sums(then, who, names), sums(now, who, names)
        rows = [(told, before, after), ("&ensp;of it the answers' side", theirs, theirs_now)]
        rows.append(("&ensp;of it the checker's", before - theirs, after - theirs_now))
        lines += [f"| {row} | {one:.1f} | {two:.1f} | {two / one:.2f} |" for row, one, two in rows]
    ratios = {n: sums(now, "all", [n])[0] / sums(then, "all", [n])[0] for n in names}
    worst = sorted(ratios, key=lambda name: -ratios[name])[:5]
    lines += ["", "Highest ratios of one exercise, of the class: " + ", ".join(f"{n} {ratios[n]:.2f}" for n in worst)]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--then", type=Path, help=f"a checkout of {COMMIT} with its environment in .venv")
    parser.add_argument("--students", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results")
    options = parser.parse_args()
    load, rounds = os.getloadavg()[0], ([], [])  # type: tuple[float, tuple[list[Round], list[Round]]]
    with tempfile.TemporaryDirectory() as name, build_of_then(options.then) as then:
        for number in range(options.rounds):
            for build, kept in zip((then, Build("now", ROOT, sys.executable)), rounds, strict=True):
                say(f"round {number + 1}: {build.name}")
                kept.append(measured(build, options.students, Path(name)))
    about = f"{os.cpu_count()} cores ({processor()}), load {load:.1f} at the start"
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "marking.json").write_text(json.dumps({"then": rounds[0], "now": rounds[1]}) + "\n")
    text = report(*rounds, options.students, about)
    (options.results / "marking.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
