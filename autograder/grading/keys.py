"""What each submission of a class depends on, for the ledger and for the table of what a run has changed."""

from __future__ import annotations

from collections.abc import Mapping

from traitlets.config import Config

from ..guard.limits import Limits
from ..hand_in.beside import Allowance, Beside
from ..hand_in.finding import Entry, timestamp
from ..hand_in.restoring import Master
from .ledger import Parts, course_parts, key_of, with_hand_in
from .sources import PACKAGE, check_sources, sources, versions


class Keys:
    """The ledger's keys of a class. `parts`: by lesson and student, as they were when their key was last asked for."""

    def __init__(
        self,
        masters: Mapping[str, Master],
        limits: Limits,
        sandbox: bool,
        config: Config,
        allowance: Allowance,
        gpu_courtesy: bool = False,
    ) -> None:
        self._allowance = allowance
        named = [str(step) for step in config.GenerateFeedback.get("preprocessors", [])]
        code = sources([step.rpartition(".")[0] for step in named if step.startswith(PACKAGE)])
        installed = versions()
        self._course = {
            lesson: course_parts(master, limits, sandbox, check_sources(lesson), code, installed, gpu_courtesy)
            for lesson, master in masters.items()
        }
        self.parts: dict[str, dict[str, Parts]] = {lesson: {} for lesson in masters}

    def of(self, entry: Entry) -> str:
        """The key of one submission as it lies there now. Raises OSError."""
        flags = (*entry.flags, timestamp(entry.place)[1])
        place = entry.place if entry.place.is_dir() else entry.notebook.parent
        beside = Beside.of(entry.notebook.parent, entry.notebook.name, self._allowance).digest
        about = (entry.student, entry.lesson, entry.notebook.name, flags, beside)
        parts = with_hand_in(self._course.get(entry.lesson, {}), place, *about)
        self.parts.setdefault(entry.lesson, {})[entry.student] = parts
        return key_of(parts)
