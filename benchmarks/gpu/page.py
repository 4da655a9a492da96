"""The Markdown page of what was found on the card."""

from pathlib import Path
from typing import Any

from benchmarks.training import report
from benchmarks.training.results import Part, read


def page(record: Part, training: Path) -> str:
    """The parts in a table, each lesson's training runs, and the page of training and sampling where they were run."""
    machine, versions = record.identity["machine"], record.identity["versions"]
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = ["# On one card", ""]
    if record.identity["rehearsal"]:
        lines += ["A rehearsal on the CPU: the numbers mean nothing.", ""]
    lines += [
        f"{machine['device']}; {machine['processor']}, {machine['cores']} cores; {packages}. "
        "By `benchmarks/on_gpu.sh`. Tests and lessons share the card; training and sampling have it alone.",
        "",
        "| part | seconds | what came of it |",
        "|---|--:|---|",
        *(f"| {name} | {found['seconds']:.0f} | {_outcome(found)} |" for name, found in record.data.items()),
        "",
    ]
    lessons = {name: found["result"] for name, found in record.data.items() if "result" in found}
    if lessons:
        lines += ["## Lessons", "", *_lessons(lessons), ""]
    measured = read(training)
    return "\n".join(lines) + ("\n" + report.page(measured).replace("# ", "## ", 1) if measured else "")


def _outcome(found: dict[str, Any]) -> str:
    if found["ended by its limit"]:
        return "ended by its time limit"
    if found["exit"]:
        return f"failed (exit {found['exit']}): {found['last'][-1] if found['last'] else 'no output'}"
    result = found.get("result")
    if result:
        return f"{len(result['cells'])} cells, {result['there']} names stand for tensors on {result['device']}"
    said = found["last"][-1]
    return said if "pass" in said or "collected" in said else "see below"


def _lessons(lessons: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| lesson | seconds of its cells | longest cells | training runs: steps in seconds |", "|---|--:|---|---|"]
    for name, result in lessons.items():
        longest = sorted(result["cells"], key=lambda cell: -cell[1])[:3]
        slow = ", ".join(f"{number}: {seconds:.1f} s" for number, seconds in longest)
        runs = ", ".join(f"{run['steps']:,} in {run['seconds']:.1f}" for run in result["runs"]) or "none"
        lines.append(f"| {name} | {result['seconds']:.0f} | {slow} | {runs} |")
    return lines
