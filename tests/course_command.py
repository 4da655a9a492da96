"""`course` and `nbgrader` in processes of their own, which have what grading imports in their memory already: see
`forks`.

A command has its arguments, folder, environment, session and exit status as from a shell; Python and its imports are
not started again.
"""

import os
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess

from forks import FORKS

PROGRAMS = {"course": "autograder.cli", "nbgrader": "nbgrader.apps.nbgraderapp"}  # where the `main` of each stands


class Command:
    """`PROGRAM ARGUMENTS`, begun in `cwd` with these variables added to its environment."""

    def __init__(self, program: str, *arguments: object, cwd: Path, **environment: str) -> None:
        self._said = tempfile.TemporaryDirectory()
        line = [program, *map(str, arguments)]
        self.process = FORKS.Process(target=_run, args=(line, str(cwd), os.environ | environment, self._said.name))
        self.process.start()

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.is_alive()

    def kill(self, how: int) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, how)

    def end(self, within: float = 900.0) -> CompletedProcess:
        """Wait for its end: the status, negative where a signal ended it, and what it said. Raises TimeoutError."""
        self.process.join(within)
        if self.runs():
            self.process.kill()
            raise TimeoutError(f"it ran longer than {within:g} s")
        said = [(Path(self._said.name) / name).read_text(encoding="utf-8") for name in ("out", "err")]
        self._said.cleanup()
        return CompletedProcess([], self.process.exitcode, *said)


def course(*arguments: object, cwd: Path) -> CompletedProcess:
    """Run `course ARGUMENTS` in `cwd` to its end."""
    return Command("course", *arguments, cwd=cwd).end()


def nbgrader(*arguments: object, cwd: Path) -> CompletedProcess:
    """Run this environment's `nbgrader ARGUMENTS` in `cwd` to its end."""
    return Command("nbgrader", *arguments, cwd=cwd, JUPYTER_PREFER_ENV_PATH="1").end()


def _run(line: list[str], folder: str, environment: dict[str, str], place: str) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(Path(place) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = line
    sys.exit(import_module(PROGRAMS[line[0]]).main())
