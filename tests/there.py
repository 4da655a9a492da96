"""Answers of this very process, asked on the pretended GPU."""

from autograder.grading.courtesy import asked
from autograder.sandbox.abroad import Abroad, there
from autograder.student import LocalLink


class ThereLink(LocalLink):
    """A student's code that finds a GPU, while the checker has none."""

    def ask(self, frame, serve):
        with there():
            return super().ask(frame, serve)


def asked_there(exercise, namespace, student="ada"):
    """The outcomes of an exercise's checks on the GPU, and what it would refuse; None where it would do all of it."""
    return asked(exercise, ThereLink(Abroad(namespace)), student)
