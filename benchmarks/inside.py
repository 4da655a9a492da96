"""What the benchmarks of grading and of its writer have each build do in its own checkout, that of then as well.

    python inside.py class FOLDER STUDENTS [--unlisted]    write a class of the build's own lesson
    python inside.py phases FOLDER OUT FILE                 grade it one by one, and write what each phase took
    python inside.py writer FOLDER OUT FILE COUNT TOGETHER [URL]    store its results again and again, so many together
                                                            where the build can, under other names
    python inside.py marks FILE STUDENTS                    mark the references of five lessons, in this process

Names that have moved since the build of then are found by either name.
"""

from __future__ import annotations

import ast
import json
import os
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import nbformat
import torch

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "tests" / "autograder")]  # the build's own packages, then its answers

LESSON = "02-vae"
FIVE = ("01-elbo", "02-vae", "04-forward", "05-posterior", "06-sampling")  # lessons that both builds have
# Slips of the pen, put into one answer of a perfect notebook where they fit.
SLIPS = [
    (".sum(", ".mean("),
    ("0.5", "1.0"),
    (".exp()", ""),
    ("logvar", "(2 * logvar)"),
    (" + ", " - "),
    ("-1)", "0)"),
    ("mu", "0 * mu"),
    ("math.log", "math.log10"),
    ("eps", "eps.abs()"),
    ("sigma**2", "sigma"),
]
# Functions whose answer is one tensor: 1.07 times it is a mistake that no list holds.
SCALED = (
    *("reparameterize", "score_function_gradient", "pathwise_gradient", "gaussian_kl"),
    *("bernoulli_log_likelihood", "gaussian_log_likelihood", "iwae_bound"),
)


# What has moved since the build of then, at its places.
PLACES = {
    "GuestProcess": ("autograder.guard.guest:GuestProcess", "autograder.grading.process:Submission"),
    "Template": ("autograder.guard.template:Template", "autograder.grading.process:Template"),
    "Limits": ("autograder.guard.limits:Limits", "autograder.grading.process:Limits"),
    "find_submissions": (
        "autograder.hand_in.finding:find_submissions",
        "autograder.grading.classroom:find_submissions",
    ),
    "release": ("autograder.builder.release:release", "autograder.build.release:release"),
    "FeedbackWriter": ("autograder.feedback.writer:FeedbackWriter", "autograder.grading.feedback:FeedbackWriter"),
    "Master": ("autograder.hand_in.restoring:Master", "autograder.grading.submission:Master"),
    "GradebookWriter": ("autograder.grading.gradebook:GradebookWriter",),
    "lesson_exercises": ("autograder.exercise:lesson_exercises",),
    "Responder": ("autograder.sandbox.responder:Responder", "autograder.sandbox.host:Host"),
    "solution": ("autograder.authoring.answers:solution", "lesson_answers:solution"),
}


def moved(name: str) -> Any:
    """What is called so, or was."""
    for place in PLACES[name]:
        module, _, own = place.partition(":")
        try:
            return getattr(import_module(module), own)
        except (ImportError, AttributeError):
            continue
    raise ImportError(name)


def scaled(source: str) -> str:
    """A function's source with 1.07 times its answer."""
    tree = ast.parse(source)
    answers = [(node, node.value) for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value]
    last, answer = answers[-1]
    last.value = ast.BinOp(ast.Constant(1.07), ast.Mult(), answer)
    return ast.unparse(ast.fix_missing_locations(tree))


def write_class(root: Path, submitted: Path, students: int, unlisted: bool) -> None:
    """`students` submissions below `submitted`, the same ones every time: a third is right, a third came as far as some
    exercise, and a third holds one slip, or one mistake that no list has.
    """
    master_of = moved("Master")
    demo = import_module("autograder.grading.demo")
    master = master_of.load(root, LESSON)
    solved = demo.solve(root, master)
    names = [c.metadata.nbgrader.grade_id for c in solved.cells if c.metadata.get("nbgrader", {}).get("solution")]
    stubs = {c.metadata.nbgrader.grade_id: c.source for c in master.released.cells if c.metadata.get("nbgrader")}
    chance = random.Random(0)
    for number in range(students):
        kind, name, slip = number % 3, chance.choice(names), chance.choice(SLIPS)
        if unlisted and kind == 2:
            name = SCALED[number // 3 % len(SCALED)]

        def write(here: str, text: str, kind: int = kind, name: str = name, slip: tuple[str, str] = slip) -> str:
            if kind == 1 and names.index(here) > names.index(name):
                return stubs[here]
            if kind != 2 or here != name:
                return text
            return scaled(text) if unlisted else text.replace(*slip)

        path = submitted / f"student-{number:04d}" / LESSON / f"{master.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(demo.answer(solved, write), path)


@contextmanager
def grading(root: Path, submitted: Path, out: Path, url: str = "") -> Iterator[tuple[Any, Any, Any, Any]]:
    """A build ready to grade in this process, on one thread as workers do: its settings, its lesson, the hand-ins,
    and a function that grades one of these.
    """
    runner, checkout = import_module("autograder.grading.runner"), import_module("autograder.checkout")
    limits, exercises = moved("Limits"), moved("lesson_exercises")(LESSON)
    config, master = checkout.course_config(root), moved("Master").load(root, LESSON)
    if url:
        config.CourseDirectory.db_url = url
    out.mkdir(parents=True)
    workers = import_module("autograder.grading.workers")
    getattr(workers, "settle", lambda: torch.set_num_threads(1))()  # the build of then did no more
    moved("release")(LESSON, root, root / "solutions", checkout.database_url(out, config))
    with moved("Template")() as template:

        def grade(entry: Any) -> Any:
            return runner.grade_submission(entry.notebook, entry.student, master, exercises, template, limits())

        yield config, master, moved("find_submissions")(submitted, [LESSON]), grade


def phases(root: Path, submitted: Path, out: Path, skip: int = 2) -> dict[str, list[float]]:
    """By phase [seconds, seconds of processor time] of a submission, graded one by one in this process; the first few
    pay for what happens once and do not count. "own cells" is the processor time of the submission's own process.
    """
    process, feedback, writer = moved("GuestProcess"), moved("FeedbackWriter"), moved("GradebookWriter")
    usage = Path(os.environ["COURSE_BENCH_USAGE"])
    spent: dict[str, list[float]] = {}

    def processor() -> float:
        text = usage.read_text().split()
        return int(text[1]) / 1e6 if text[0] == "usage_usec" else int(text[0]) / 1e9

    def note(phase: str, seconds: float, used: float) -> None:
        entry = spent.setdefault(phase, [0.0, 0.0])
        entry[0], entry[1] = entry[0] + seconds, entry[1] + used

    def timed(owner: Any, name: str, phase: str) -> None:
        function = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start, before = time.perf_counter(), processor()
            try:
                return function(*args, **kwargs)
            finally:
                note(phase, time.perf_counter() - start, processor() - before)

        setattr(owner, name, wrapper)

    def ran(pid: int) -> float:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9

    def counted(self: Any, *args: Any, run: Callable[..., Any] = process.run_cell, **kwargs: Any) -> Any:
        before = ran(self.pid)
        try:
            return run(self, *args, **kwargs)
        finally:
            note("own cells", 0.0, ran(self.pid) - before if self.alive else 0.0)

    process.run_cell = counted
    timed(import_module("autograder.grading.runner"), "grade_submission", "run and mark")
    here = sys.modules[__name__]
    timed(here, "prepared", "body")
    timed(here, "store", "stored")
    timed(feedback, "write_all" if hasattr(feedback, "write_all") else "write", "file")
    with grading(root, submitted, out) as (config, master, entries, grade), writer(out, config) as book:
        pages = feedback(out, config, book.gradebook, *_maker(config, master))
        for number, entry in enumerate(entries):
            if number == skip:
                spent.clear()
            store([(prepared(grade(entry), master.name, pages), entry.notebook.parent)], master.name, book, pages)
    body, file, both = (spent.pop(name) for name in ("body", "file", "stored"))
    spent["page"] = [one + other for one, other in zip(body, file, strict=True)]
    spent["grade book"] = [one - other for one, other in zip(both, file, strict=True)]
    count = len(entries) - skip
    return {phase: [value / count for value in values] for phase, values in spent.items()}


def prepared(graded: Any, name: str, pages: Any) -> Any:
    """A result as a worker hands it over, its page rendered; as it is in the build of then, which has that done by
    whoever stores it.
    """
    try:
        light = import_module("autograder.grading.finished").light
    except ImportError:
        return graded
    if graded.notebook is None:
        return graded
    body_of = import_module("autograder.feedback.writer").body_of
    return light(replace(graded, body=body_of(pages._pages, graded.notebook, name, graded.left)))


def store(results: list[tuple[Any, Path]], name: str, book: Any, pages: Any) -> None:
    """Results and the folders of their hand-ins to grade book and pages, together where the build does that."""
    try:
        finished = import_module("autograder.grading.finished").Finished
    except ImportError:
        for graded, place in results:
            book.write(graded, name, place)
            pages.write(graded, name)
        return
    together = [finished(graded, name, place) for graded, place in results]
    with book.all_or_nothing() as files:
        book.write_all(together, files)
        pages.write_all(together, files)


def _maker(config: Any, master: Any) -> list[Any]:
    """What a worker makes pages by, which has made the course's own texts beforehand; nothing in the build of then."""
    try:
        return [import_module("autograder.feedback.writer").page_maker(config, [master])]
    except ImportError:
        return []


def stored(root: Path, submitted: Path, out: Path, count: int, together: int, url: str) -> dict[str, Any]:
    """Seconds of processor time that this process, the one writer, takes to store each of `count` finished results,
    `together` at a time, and its peak memory in MiB after each tenth of them.
    """
    feedback, writer = moved("FeedbackWriter"), moved("GradebookWriter")
    with grading(root, submitted, out, url) as (config, master, entries, grade):
        graded = [grade(entry) for entry in entries]
    seconds: list[float] = []
    peaks: list[float] = []
    with writer(out, config) as book:
        pages = feedback(out, config, book.gradebook)
        ready = [(prepared(one, master.name, pages), e.notebook.parent) for one, e in zip(graded, entries, strict=True)]
        while len(seconds) < count:
            numbers = range(len(seconds), min(len(seconds) + together, count))
            some = [(ready[number % len(ready)], f"replayed-{number:06d}") for number in numbers]
            results = [(replace(one, student=student), place) for (one, place), student in some]
            before = time.process_time()
            store(results, master.name, book, pages)
            seconds += [(time.process_time() - before) / len(numbers)] * len(numbers)
            if len(seconds) * 10 // count > len(peaks):
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            for _, student in some:  # or the files of a large class fill the disk; the grade book stays
                for place in ("autograded", "feedback", ".graded"):
                    shutil.rmtree(out / place / student, ignore_errors=True)
    return {"seconds": seconds, "peak_mib": peaks}


def marks(students: int) -> dict[str, list[list[float]]]:
    """By exercise, of one student after the other, milliseconds of processor time for marking the reference, and those
    of them that the answer's own side took. Two students before them pay for what happens once.
    """
    marking, student = import_module("autograder.marking"), import_module("autograder.student")
    responder, solution = moved("Responder"), moved("solution")
    torch.set_num_threads(1)

    class Timed(student.LocalLink):  # type: ignore[name-defined]
        theirs = 0.0

        def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
            ours = 0.0

            def served(question: bytes) -> bytes:
                nonlocal ours
                start = time.process_time()
                try:
                    return serve(question)
                finally:
                    ours += time.process_time() - start

            start = time.process_time()
            try:
                return super().ask(frame, served if serve is not getattr(student, "nobody", None) else serve)
            finally:
                self.theirs += time.process_time() - start - ours

    spent: dict[str, list[list[float]]] = {}
    for lesson in FIVE:
        for name, exercise in moved("lesson_exercises")(lesson).items():
            spent[name] = []
            for number in range(-2, students):
                link, start = Timed(responder(dict(solution(lesson)))), time.process_time()
                if not marking.mark(exercise, link, f"student-{number}", "of the benchmark").passed:
                    raise RuntimeError(f"the reference of {name} loses points")
                if number >= 0:
                    spent[name].append([1e3 * (time.process_time() - start), 1e3 * link.theirs])
    return spent


def main() -> None:
    """One of the four."""
    what, folder, rest = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if what == "marks":
        folder.write_text(json.dumps(marks(int(rest[0]))))
        return
    if what == "class":
        write_class(Path.cwd(), folder, int(rest[0]), "--unlisted" in rest)
        return
    out, file = Path(rest[0]), Path(rest[1])
    if what == "phases":
        file.write_text(json.dumps(phases(Path.cwd(), folder, out)))
    else:
        file.write_text(json.dumps(stored(Path.cwd(), folder, out, int(rest[2]), int(rest[3]), "".join(rest[4:5]))))


if __name__ == "__main__":
    main()
