"""What marking comes to: outcomes of checks, and the mark of an exercise. Data alone, for all who only read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

PUBLIC = ("name", "points", "max_points", "passed", "unwritten", "diagnosis", "message")  # of a mark
REMARK = "remark"  # public where there is one
PUBLIC_OUTCOME = ("what", "points", "max_points", "passed", "message")


@dataclass(frozen=True)
class Outcome:
    """What one check found. `got`, `truth`, `suspect` and `evidence` are for recognising mistakes and never leave the
    grader.
    """

    what: str
    points: float
    max_points: float
    passed: bool
    message: str
    got: Any = None
    truth: Any = None
    suspect: str | None = None
    evidence: Any = None


@dataclass(frozen=True)
class Mark:
    """What one exercise earned, and why; `diagnosis` is the misconception recognised, `message` what the student
    reads. `followed`: the student's own earlier functions took part in the truth. `unwritten`: whatever failed ended
    in the exercise's own stub. `remark`: what would stop on a GPU, where somebody asked for that.
    """

    name: str
    points: float
    max_points: float
    passed: bool
    diagnosis: str | None
    message: str
    outcomes: tuple[Outcome, ...]
    followed: bool = False
    unwritten: bool = False
    remark: str = ""

    @property
    def told(self) -> str:
        """All that the student reads in a line."""
        return f"{self.message} {self.remark}".strip()

    def public(self) -> dict[str, Any]:
        """The mark as JSON, without a hidden input or expected value."""
        fields = {key: getattr(self, key) for key in (*PUBLIC, *([REMARK] if self.remark else []))}
        return {**fields, "outcomes": [{key: asdict(o)[key] for key in PUBLIC_OUTCOME} for o in self.bare().outcomes]}

    def bare(self) -> Mark:
        """The same mark with the grader's own evidence removed."""
        gone: dict[str, Any] = {"got": None, "truth": None, "suspect": None, "evidence": None}
        return replace(self, outcomes=tuple(replace(outcome, **gone) for outcome in self.outcomes))


def score(result: Mark) -> float:
    """The points as nbgrader takes them: a plain float, at most the maximum."""
    return float(round(min(max(result.points, 0.0), result.max_points), 2))
