"""`course` in processes of its own, which have what grading imports in their memory already: see `forks`.

A command has its arguments, folder, environment, session and exit status as from a shell; Python and its imports are
not started again.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

from forks import FORKS


class Command:
    """`course ARGUMENTS`, begun in `cwd`."""

    def __init__(self, *arguments: object, cwd: Path) -> None:
        self._said = tempfile.TemporaryDirectory()
        given = list(map(str, arguments))
        self.process = FORKS.Process(target=_run, args=(given, str(cwd), dict(os.environ), self._said.name))
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
            raise TimeoutError(f"`course` ran longer than {within:g} s")
        said = [(Path(self._said.name) / name).read_text(encoding="utf-8") for name in ("out", "err")]
        self._said.cleanup()
        return CompletedProcess("course", self.process.exitcode, *said)


def course(*arguments: object, cwd: Path) -> CompletedProcess:
    """Run `course ARGUMENTS` in `cwd` to its end."""
    return Command(*arguments, cwd=cwd).end()


def _run(arguments: list[str], folder: str, environment: dict[str, str], place: str) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(Path(place) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["course", *arguments]
    from autograder.cli import main

    sys.exit(main(arguments))
