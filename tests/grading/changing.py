"""A made-up course of two lessons whose first changes while a term is running, and what grades it.

Its sources are built by `course build`, without being run. Its hidden checks lie in a file of their own, as a lesson's
do, and change with it.
"""

import argparse
import shutil
import sys
from contextlib import contextmanager
from types import ModuleType

import nbformat
from tiny_class import LIMITS, autograde

from autograder.builder import notebooks as builder
from autograder.checkout import CONFIG, course_root
from autograder.exercise import Exercise
from autograder.grading import classroom, commands, options, sources, students, workers
from autograder.grading.classroom import Means, grade_class
from autograder.hand_in.finding import find_submissions
from autograder.plugins import outside as step

FIRST, SECOND = "01-first", "02-second"
CHECKS = {
    "plus_one": "case.expect(student(x), x + 1, 'value', points={points} / 2)\n"
    "    case.expect(student(-x), {below}, 'value below zero', points={points} / 2)",
    "thrice": "case.expect(student(x), 3 * x, 'value', points={points})",
    "halve": "case.expect(student(x), x / 2, 'value', points={points})",
}
RIGHT = {"plus_one": "return x + 1", "thrice": "return 3 * x", "halve": "return x / 2"}
EXERCISE = '''# %% [markdown]
# ### Exercise: `{name}` · ●○○ · 1 minutes · {worth}

# %% exercise="{name}"
def {name}(x):
    """The docstring."""
    ### BEGIN SOLUTION
    {answer}
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Think.</details>
# <details><summary>Hint 2: the idea</summary>Think again.</details>
# <details><summary>Hint 3: nearly the line</summary>Write.</details>

# %% checks="{name}"
# Checks of {name}
print("{label}")

'''
WHY = """# %% [markdown] written="why" points=2
# ### Question: `why` · ●○○ · 1 minutes · 2 points
#
# Why?
#
# ### BEGIN MARK SCHEME
# Says why.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# Because.
# ### END SOLUTION

"""


class Course:
    """The course in `folder`, which may be a copy of another's with the same `exercises`."""

    def __init__(self, folder, patch, client, exercises=None):
        self.folder, self.exercises = folder, exercises or {}
        if not (folder / CONFIG).exists():
            shutil.copy(course_root() / CONFIG, folder / CONFIG)
        (folder / "checks").mkdir(exist_ok=True)
        patch.setattr(builder, "execute", lambda *about, **options: [])
        for module in (classroom, workers, step, sources):
            patch.setattr(module, "lesson_exercises", lambda lesson: self.exercises[lesson])
        for module in (step, commands, students):
            patch.setattr(module, "course_root", lambda: folder)

        @contextmanager
        def same(plugin, *_):
            held = client.grading
            before, held.masters = held.masters, plugin.masters
            try:
                yield client
            finally:
                held.masters = before

        patch.setattr(classroom, "workers", same)

    def build(self, lesson, points, **how):
        """Release a lesson as it is from now on, by `course build`; the rest as `add` takes it."""
        return builder.build(self.add(lesson, points, **how), self.folder, self.exercises[lesson])

    def add(self, lesson, points, text="A sentence.", label="looked at", below="1 - x"):
        """Write a lesson's source and checks. `points`: what is asked for, and what it is worth; `below`: what the
        check of `plus_one` expects below zero.
        """
        self.exercises[lesson] = {one: self._check(lesson, one, worth, below) for one, worth in points.items()}
        name = lesson.partition("-")[2]
        source = self.folder / "solutions" / lesson / f"{name}.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        parts = []
        for one, worth in points.items():
            said = f"{worth} point{'s' * (worth != 1)}"
            parts.append(EXERCISE.format(name=one, worth=said, answer=RIGHT[one], label=label))
        why = [WHY] if lesson == FIRST else []
        source.write_text("".join([f"# %% [markdown]\n# # {name}\n#\n# {text}\n\n", *parts, *why]))
        return source

    def _check(self, lesson, name, points, below):
        """An exercise with its hidden checks in a file of its own, imported anew."""
        path = self.folder / "checks" / f"{name}.py"
        lines = [f"def {name}(student, case):", "    x = case.normal(3).abs() + 0.1"]
        path.write_text("\n".join([*lines, f"    {CHECKS[name].format(points=points, below=below)}"]) + "\n")
        own = f"checks_of_{name}_in_{self.folder.name}"  # where a module lies is looked up once
        sys.modules[own] = module = ModuleType(own)
        module.__file__ = str(path)
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
        return Exercise(name, float(points), lesson, (), getattr(module, name))

    def fetch(self, lesson):
        """The student notebook as it is now."""
        name = lesson.partition("-")[2]
        return nbformat.read(self.folder / "notebooks" / lesson / f"{name}.ipynb", as_version=4)

    def hand_in(self, student, lesson, notebook, without=(), when=None, **answers):
        """Hand in a notebook, right but for `answers` and the cells of the exercises `without`."""
        written = {name: f"def {name}(x):\n    {line}" for name, line in RIGHT.items()}
        written |= {name.replace("_answer", "-answer"): text for name, text in answers.items()}
        notebook.cells = [cell for cell in notebook.cells if cell["id"].partition("-")[0] not in without]
        for cell in notebook.cells:
            cell.source = written.get(cell["id"], cell.source)
        place = self.folder / "submitted" / student / lesson
        place.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, place / f"{lesson.partition('-')[2]}.ipynb")
        if when:
            (place / "timestamp.txt").write_text(when)

    def grade(self, tell=lambda found: None, **how):
        """What `course grade` gives, by student and lesson; `tell` as `grade_class` takes it."""
        entries = find_submissions(self.folder / "submitted", [], [FIRST, SECOND])
        results = grade_class(entries, self.folder, self.folder, Means(LIMITS, 1, **how), tell)
        return {(graded.student, graded.lesson): graded for graded in results}

    @staticmethod
    def parsed(line):
        """The options of a command line, with the limits of these tests."""
        parser = argparse.ArgumentParser()
        options.add_grade(parser.add_subparsers())
        return parser.parse_args([*line, "--cell-seconds", "5", "--call-seconds", "5", "--seconds", "60"])

    def autograde(self, student="*"):
        """What nbgrader's own command does with the first lesson."""
        autograde(self.folder, student, FIRST)
