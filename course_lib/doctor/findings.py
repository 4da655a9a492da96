"""What a doctor finds, one probe at a time, and how it is shown."""

from __future__ import annotations

import json
import shutil
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

WORKS, OPTIONAL, BROKEN = "works", "optional", "broken"
MARKS = {WORKS: "✓", OPTIONAL: "○", BROKEN: "✗"}
PLAIN_MARKS = {WORKS: "+", OPTIONAL: "o", BROKEN: "X"}  # for terminals that cannot show the others
TIMES = "Each lesson from top to bottom takes about"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: the thing that was looked at.
        status: WORKS, OPTIONAL (not there or not ideal, and the course does without) or BROKEN.
        text: what was found.
        remedy: how to mend it, in one line.
    """

    what: str
    status: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """Everything found, and about how many seconds each lesson takes from top to bottom."""

    findings: list[Finding]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether nothing that is needed is broken."""
        return all(finding.status != BROKEN for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The last line of the report: is anything to be mended?"""
        broken = sum(finding.status == BROKEN for finding in self.findings)
        return "Everything needed works." if not broken else f"To mend: {broken}; how stands beneath each."

    def as_json(self) -> str:
        """`{"ok", "findings": [{"what", "status", "text", "remedy"}…], "lesson_seconds": {lesson: seconds}}`."""
        seconds = {lesson: round(value, 1) for lesson, value in self.seconds.items()}
        answer = {"ok": self.healthy, "findings": [asdict(one) for one in self.findings], "lesson_seconds": seconds}
        return json.dumps(answer, indent=2, ensure_ascii=True)


Probe = Callable[[], Iterable[Finding]]


def examine(probes: Mapping[str, Probe], times: Callable[[], Mapping[str, float]] = dict) -> Report:
    """Try everything; what a probe raises becomes a finding. `times` gives the seconds of each lesson, which are good
    to know and no more.
    """
    findings = [finding for what, probe in probes.items() for finding in _isolated(what, probe)]
    seconds: dict[str, float] = {}

    def estimate() -> Iterable[Finding]:
        seconds.update(times())
        return ()

    findings += [replace(finding, status=OPTIONAL) for finding in _isolated("lesson times", estimate)]
    return Report(findings, seconds)


def _isolated(what: str, probe: Probe) -> list[Finding]:
    findings: list[Finding] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            findings += probe()
    except ImportError as error:
        first = error.__cause__ or error  # course_lib's own error leads here, where we are
        findings.append(Finding(what, BROKEN, f"not tried: {one_line(first)}", "mend the packages first"))
    except Exception as error:
        remedy = "mend what the message names, or send it to whoever runs the course"
        findings.append(Finding(what, BROKEN, f"{type(error).__name__}: {one_line(error)}", remedy))
    return findings


def one_line(error: BaseException) -> str:
    """The first line of what an exception says, cut where it becomes endless."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return textwrap.shorten(lines[0], 160, placeholder=" …")


def duration(seconds: float) -> str:
    """To five seconds, since an estimate is no better: "25 s", "2 min 10 s"."""
    rounded = max(5, round(seconds / 5) * 5)
    minutes, rest = divmod(rounded, 60)
    return " ".join([f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest))


def as_text(report: Report, width: int, marks: Mapping[str, str]) -> str:
    """The report in plain text: mark, thing and finding side by side, the remedy beneath."""
    column = max(len(finding.what) for finding in report.findings)
    lines = []
    for finding in report.findings:
        lines += _wrapped(f"{marks[finding.status]} {finding.what:<{column}}  ", finding.text, width)
        lines += _wrapped(" " * (column + 4) + ("→ " if marks is MARKS else "> "), finding.remedy, width)
    if report.seconds:
        widest = max(map(len, report.seconds))
        lines += ["", TIMES]
        lines += [f"  {lesson:<{widest}}  {duration(value)}" for lesson, value in report.seconds.items()]
    return "\n".join([*lines, "", report.verdict])


def _wrapped(head: str, text: str, width: int) -> list[str]:
    wrapper = textwrap.TextWrapper(width, head, " " * len(head), break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)


def terminal_width() -> int:
    """Columns to write in: the terminal's, but no line so long that nobody reads it."""
    return min(shutil.get_terminal_size().columns, 120)


def marks_for(stream: Any) -> dict[str, str]:
    """The marks that a terminal can show."""
    try:
        "".join([*MARKS.values(), "→…"]).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        stream.reconfigure(errors="replace")
        return PLAIN_MARKS
    return MARKS
