"""Where submissions are graded side by side: a few as threads of this process, more by Dask's workers (`cluster`).

Each process keeps one warm template. A task is a pure function of the notebook's bytes, the lesson and the
student, so it may run anywhere, and again when a worker dies.
"""

from __future__ import annotations

import gc
import os
import queue
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from traitlets.config import Config

from ..bounds import MEMORY, hold_memory
from ..exercise import lesson_exercises
from ..feedback.filling import Body
from ..feedback.making import Pages
from ..feedback.writer import body_of, page_maker
from ..guard.kept import kept
from ..guard.limits import Limits
from ..guard.template import Template
from ..hand_in.beside import NONE, Beside
from ..hand_in.restoring import Master
from ..sandbox.uncompiled import leave_compiler_alone
from .courtesy import Courtesy
from .finished import light
from .graded import Graded, not_graded
from .keeper import Keeper
from .runner import grade_submission
from .sources import digest_of, sources, versions

OF_PAGES = ("GenerateFeedback", "HTMLExporter")  # sections of nbgrader_config.py
FEW = 2  # jobs
GLANCE = 1.0  # seconds from look to look whether there is a worker
PATIENCE = 120.0  # seconds without one until none is waited for
MOMENT = 1.0  # seconds in which results are taken together
TOGETHER = 32  # results, and what they take in memory


@dataclass(frozen=True)
class Task:
    """One submission on its way to a worker; `content` is None where the file is missing, `beside` what travels with
    it, `by` the name of the plug-in that grades it.
    """

    number: int
    student: str
    lesson: str
    content: bytes | None
    beside: Beside = NONE
    by: str = "grading"


def settle() -> None:
    """Make this process one that marks. What checks compute is tiny: a second thread would only be waited for. Among
    all that is loaded nothing becomes garbage, and to look for it takes as long as marking a submission.
    """
    torch.set_num_threads(1)
    leave_compiler_alone()
    gc.freeze()


class Grading:
    """What every worker grades by: a warm template and the lessons' masters. On a scheduler of somebody's own its
    `name` is a new one, since other classes may be graded there.
    """

    name = Task.by

    def __init__(
        self,
        masters: Mapping[str, Master],
        limits: Limits,
        sandbox: bool,
        config: Config | None = None,
        gpu_courtesy: bool = False,
        keep_warm: bool = False,
    ) -> None:
        self.masters, self.limits, self.sandbox = dict(masters), limits, sandbox
        self.gpu_courtesy, self.keep_warm = gpu_courtesy, keep_warm and sandbox
        # What pages are made by. Without it whoever stores the results makes them.
        self.config = None if config is None else Config({name: config[name] for name in OF_PAGES if name in config})

    def begin(self, threads: int, started: Callable[[Callable[[], Template]], Template]) -> None:
        """Start the template, for so many submissions at a time; `started` calls what makes one in a thread that
        outlives it.
        """
        settle()
        modules = sorted({name for master in self.masters.values() for name in master.modules})

        def start(gpu: bool = False) -> Template:
            return started(lambda: Template(self.sandbox, gpu, modules))

        kept_by = digest_of(sources()) + str(versions()) if self.keep_warm else ""
        self.keeper = Keeper((lambda: started(lambda: kept(kept_by, modules))) if self.keep_warm else start)
        self.courtesy = Courtesy(lambda: start(gpu=True)) if self.gpu_courtesy else None
        self._pages: queue.SimpleQueue[Pages] = queue.SimpleQueue()  # one for each submission at a time
        if self.config is not None:
            for _ in range(threads):
                pages = page_maker(self.config, self.masters.values())
                pages.start()  # before submissions have threads
                self._pages.put(pages)
        self._before = hold_memory(MEMORY * threads)

    def end(self) -> None:
        """End the template."""
        self.keeper.close()
        if self.courtesy is not None:
            self.courtesy.close()
        while not self._pages.empty():
            self._pages.get().close()
        resource.setrlimit(resource.RLIMIT_DATA, self._before)

    def grade(self, task: Task) -> Graded:
        """Grade one submission; the result carries no hidden value."""
        master = self.masters[task.lesson]
        with tempfile.TemporaryDirectory(prefix="hand-in-") as folder:
            path = Path(folder) / f"{master.name}.ipynb"
            if task.content is not None:
                path.write_bytes(task.content)
            about = task.student, master, lesson_exercises(task.lesson)
            graded = self.keeper.grade(
                lambda template: grade_submission(path, *about, template, self.limits, task.beside, self.courtesy)
            )
        marks = tuple(mark.bare() for mark in graded.marks)
        try:
            return light(replace(graded, marks=marks, body=self._body(graded, master.name)))
        except Exception as error:
            return not_graded(task.student, task.lesson, error, graded.seconds)

    def _body(self, graded: Graded, name: str) -> Body | None:
        if graded.notebook is None or self.config is None:
            return None
        pages = self._pages.get()
        try:
            return body_of(pages, graded.notebook, name, graded.left)
        except Exception:  # whoever stores the result tries again, and says what is wrong
            return None
        finally:
            self._pages.put(pages)


def _grade(task: Task) -> Graded:
    from distributed import get_worker  # which calls this

    return get_worker().plugins[task.by].grade(task)  # type: ignore[attr-defined]


class Client(Protocol):
    """What grades submissions side by side: this process (`Here`), or Dask's client."""

    def nthreads(self) -> Mapping[str, int]: ...

    def submit(self, function: Callable[[Task], Graded], task: Task, **options: Any) -> Pending: ...


class Pending(Protocol):
    """A result that is on its way."""

    def result(self) -> Graded: ...

    def add_done_callback(self, tell: Callable[[Any], object]) -> object: ...

    def release(self) -> object: ...


class Here:
    """A client of threads of this process: submissions run in processes of their own in any case, and a few checkers
    get along with each other. There is no worker to lose, and nothing to wait for before the first is graded.
    """

    def __init__(self, grading: Grading, threads: int) -> None:
        self.grading, self._threads = grading, threads
        # Bubblewrap ends with the thread that started it, which must not be one that grades.
        self._starter = ThreadPoolExecutor(1, "starter")
        grading.begin(threads, lambda make: self._starter.submit(make).result())
        self._pool = ThreadPoolExecutor(threads, "grader")

    def nthreads(self) -> Mapping[str, int]:
        """How many submissions it grades at a time."""
        return {"here": self._threads}

    def submit(self, function: Callable[[Task], Graded], task: Task, **options: Any) -> Pending:
        """As Dask's client: here nobody has to find out what grades."""
        return _Coming(self._pool.submit(self.grading.grade, task))

    def close(self) -> None:
        """End it, with whatever is still being graded."""
        self._starter.shutdown()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.grading.end()
        self._pool.shutdown()


class _Coming:
    def __init__(self, future: Future[Graded]) -> None:
        self.result = future.result
        self._future = future

    def add_done_callback(self, tell: Callable[[Any], object]) -> None:
        self._future.add_done_callback(lambda _: tell(self))

    def release(self) -> None:
        """Nobody else holds it."""


@contextmanager
def workers(grading: Grading, jobs: int | None, scheduler: str | None) -> Iterator[Any]:
    """A client of `scheduler`, or of `jobs` workers on this machine, by which `grading` is done."""
    count = jobs or os.cpu_count() or 1
    if scheduler or count > FEW:
        from . import cluster  # Dask, which takes longer to start than a few submissions to grade

        grading.keep_warm = False  # each worker has a template, and there is one that is kept
        with cluster.joined(grading, scheduler) if scheduler else cluster.started(grading, count) as client:
            yield client
        return
    with closing(Here(grading, count)) as here:
        yield here


class NoWorkers(RuntimeError):
    """There has been no worker for so long that none is waited for any more."""


Results = list[tuple[Task, Graded | Exception]]  # each with its task, or what prevented one


def graded_as_they_come(client: Client, tasks: Iterable[Task]) -> Iterator[Results]:
    """Results in whatever order they finish, together what comes within a moment; none is left out.

    What is lost with a worker, before it is begun, half done, or done and not fetched, is graded again. A submission
    that was there each time several workers ended need not have ended them: it is suspected, and graded once more at
    the end, with nothing else under way. Only one that ends several workers by itself gets no result.
    """
    suspected: list[Task] = []
    for results in _wave(client, tasks, max(4, 3 * sum(client.nthreads().values()))):
        ended = [isinstance(result, Exception) and not isinstance(result, NoWorkers) for _, result in results]
        suspected += [task for (task, _), by_it in zip(results, ended, strict=True) if by_it]
        if good := [one for one, by_it in zip(results, ended, strict=True) if not by_it]:
            yield good
    yield from _wave(client, suspected, 1)


def _wave(client: Client, tasks: Iterable[Task], room: int) -> Iterator[Results]:
    """Results as they finish, with `room` tasks under way at a time, so that memory does not grow with the class."""
    todo = iter(tasks)
    under_way: dict[int, tuple[Task, Pending | None]] = {}
    done: queue.SimpleQueue[tuple[int, Graded | Exception]] = queue.SimpleQueue()

    def submit() -> None:
        if (task := next(todo, None)) is None:
            return
        under_way[task.number] = (task, None)
        try:
            future = client.submit(_grade, task, key=f"grade-{task.number}-{os.urandom(4).hex()}", pure=False)
            under_way[task.number] = (task, future)
            # Called in a thread of its own: a result that is lost while it is fetched is waited for once more.
            future.add_done_callback(lambda future: done.put((task.number, _fetch(future))))
        except Exception as error:  # the scheduler is lost
            done.put((task.number, error))

    def taken(number: int, result: Graded | Exception) -> tuple[Task, Graded | Exception]:
        task, future = under_way.pop(number)
        if future is not None:
            future.release()
        submit()
        return task, result

    for _ in range(room):
        submit()
    alone = 0.0  # seconds without a worker
    while under_way:
        try:
            results = [taken(*done.get(timeout=GLANCE))]
        except queue.Empty:
            alone = 0.0 if _has_workers(client) else alone + GLANCE
            if alone >= PATIENCE:
                break
            continue
        alone, moment = 0.0, time.monotonic() + MOMENT
        with suppress(queue.Empty):
            while under_way and len(results) < TOGETHER:
                results.append(taken(*done.get(timeout=max(moment - time.monotonic(), 0.0))))
        yield results
    missing = NoWorkers(f"all workers are lost, and no other has come for {PATIENCE:g} s")
    if under_way:
        yield [(task, missing) for task in [*(task for task, _ in under_way.values()), *todo]]


def _fetch(future: Pending) -> Graded | Exception:
    """The result of a task that is done, or what prevented it."""
    try:
        return future.result()
    except Exception as error:
        return error


def _has_workers(client: Client) -> bool:
    try:
        return bool(client.nthreads())
    except Exception:  # there is no scheduler to ask
        return False
