"""`course grade --gpu-courtesy`: what answers with full marks would do on their student's GPU. No points hang on it.

Grading computes on the CPU, where a tensor made without `device=` is right; on a GPU the same function stops. So each
such answer goes through its checks once more, in a process of a second template, on a pretended GPU (`sandbox.abroad`),
and a line on the page says what would be refused there. Whatever else happens in that process is nobody's business:
an answer that fails, hangs or ends it there has no remark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..exercise import Exercise
from ..guard.template import GraderBroken, Template
from ..lineup import oracle
from ..marking import run_checks
from ..marks import Mark, Outcome
from ..nodes import copied
from ..sandbox.settings import SETS as SWITCHES
from ..sandbox.whereabouts import MAKERS
from ..seeds import Seeds
from ..student import Link, Remote, Sitting
from .keeper import Keeper
from .run import Run

MAX_LINE = 100  # characters quoted of the student's line
# A given cell of this kind may matter though it defines nothing: it sets a switch, or moves what another has made.
SETS = re.compile(rf"{SWITCHES.pattern}|\.to\(|\bdevice\b")
# Whoever chooses the device by what the machine has would choose another one there.
CHOOSES = re.compile(r"\b(?:cuda|mps)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Refused:
    """Where an answer would stop on a GPU, as the process that was asked says: see `sandbox.abroad`. `place` tells one
    line of the student's from another.
    """

    kind: str
    maker: str
    before: bool
    line: str
    like: str
    place: str

    @classmethod
    def of(cls, said: Any, source: str) -> Refused | None:
        """What was said, as far as it can be believed: of words that are not the course's own, those alone remain that
        stand in the submission's `source`.
        """
        said = said if isinstance(said, dict) else {}
        words = ("kind", "maker", "line", "like", "place")
        word = {key: said[key] if isinstance(said.get(key), str) else "" for key in words}
        if word["kind"] not in SENTENCES:
            return None
        lines = {line.strip() for line in source.split("\n")}
        line, like = word["line"].strip(), word["like"]
        return cls(
            word["kind"],
            word["maker"] if word["maker"] in MAKERS else "",
            said.get("before") is True,
            line if line in lines and len(line) <= MAX_LINE else "",
            like if like.isidentifier() and re.search(rf"\b{re.escape(like)}\b", source) else "",
            word["place"][:MAX_LINE],
        )

    @property
    def remark(self) -> str:
        """The line that the student reads."""
        made = f"what `{self.maker}` makes on the CPU" if self.maker else "a tensor of the CPU"
        like = f"device={self.like}.device" if self.like else "device= as the inputs"
        kind = "kept" if self.kind == "met" and self.before else self.kind
        quoted = f", in the line `{self.line}`" if self.line else ""
        return f"On a GPU {SENTENCES[kind].format(made=made, like=like)}{quoted}."


SENTENCES = {
    "met": "this would stop: {made} meets a tensor on the GPU (add {like})",
    "kept": "this would stop: {made} beforehand meets a tensor on the GPU (in a module, `register_buffer` "
    "takes it along; elsewhere add {like})",
    "left": "the answer would stay behind: {made} is returned, though the inputs are on the GPU (add {like})",
    "array": "this would stop: NumPy takes no tensor from there (call `.cpu()` before, or use torch's own function)",
    "generator": "this would stop: a generator draws on its own device alone (make it with `torch.Generator(…)` of the "
    "inputs' device)",
}


class Courtesy:
    """Asks answers on a pretended GPU; `start` gives the template whose processes have one."""

    def __init__(self, start: Callable[[], Template]) -> None:
        self._keeper = Keeper(start)

    def close(self) -> None:
        """End the template."""
        self._keeper.close()

    def remarked(
        self, run: Run, exercises: Mapping[str, Exercise], marks: Sequence[Mark], student: str
    ) -> tuple[tuple[Mark, ...], str]:
        """`marks` of a submission that has been run, with remarks, and what the instructor is told of it, if anything.
        Points and all else stay as they are, and nothing is raised.
        """
        full = [exercises[mark.name] for mark in marks if mark.passed]
        try:
            found = self._remarks(run, full, student) if full and not _chooses(run) else {}
        except GraderBroken as error:
            return tuple(marks), f"no GPU courtesy: {error}"
        except Exception as error:
            return tuple(marks), f"no GPU courtesy: {type(error).__name__}: {error}"
        return tuple(replace(mark, remark=found.get(mark.name, "")) for mark in marks), ""

    def _remarks(self, first: Run, full: Sequence[Exercise], student: str) -> dict[str, str]:
        source = "\n".join(cell.source for cell in first.restored.notebook.cells if cell.cell_type == "code")
        remarks: dict[str, str] = {}
        known: set[str] = set()
        with _again(first, [exercise.name for exercise in full], self._keeper.living()) as run:
            for exercise in full:
                if (process := run.go_on()) is None:
                    break
                _, said = asked(exercise, process.calls(), student, first.master.secret)
                found = Refused.of(said, source)
                if found and (not found.place or found.place not in known):  # one line costs no second remark
                    remarks[exercise.name] = found.remark
                    known.add(found.place)
                if not process.alive:
                    run.stop()
        return remarks


def asked(exercise: Exercise, link: Link, student: str, secret: str = "") -> tuple[list[Outcome], Any]:
    """What came of the exercise's checks, run once over `link` on what they draw for this student, and what a GPU
    refused meanwhile.
    """
    seeds = Seeds.of(exercise, student, secret)
    remote = Remote(Sitting(link), exercise.name, seed=seeds.calls)
    lineup = {name: oracle(name, seeds.calls) for name in exercise.after}
    return run_checks(exercise, remote, seeds.draws, lineup), remote.refused()


def _again(first: Run, names: Iterable[str], template: Template) -> Run:
    """A run of the cells that define `names` and that `first` has run in time, on a clock of its own; its outputs are
    nobody's.
    """
    needed = _needed(first, names)
    runs = tuple(index in needed for index in range(len(first.restored.runs)))
    restored = replace(first.restored, notebook=copied(first.restored.notebook), runs=runs)
    return replace(first, restored=restored, template=template, clock=first.limits.clock(), flags=[])


def _needed(run: Run, names: Iterable[str]) -> set[int]:
    """The cells that these names hang on, all of the student's own among them. Demonstrations, plots and visible checks
    of the course's take most of the time.
    """
    wanted, needed = set(names), set[int]()
    for index in reversed(run.done):
        done, stop = run.effects(index), run.stops.get(index)
        if stop is not None and stop.seconds is not None:
            continue
        unread = done.acts and not (done.binds or done.uses)
        sets = SETS.search(run.restored.notebook.cells[index].source)
        if unread or sets or not run.is_given(index) or not done.binds.isdisjoint({*wanted, "*"}):
            needed.add(index)
            wanted |= done.uses
    return needed


def _chooses(run: Run) -> bool:
    """Whether a cell of the student's own names a kind of GPU."""
    cells = enumerate(run.restored.notebook.cells)
    return any(cell.cell_type == "code" and not run.is_given(i) and CHOOSES.search(cell.source) for i, cell in cells)
