"""Where submissions are graded side by side: Dask workers, on this machine or behind a scheduler's address.

Each worker process keeps one warm template. A task is a pure function of the notebook's bytes, the lesson and the
student, so it may run anywhere, and again when a worker dies.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import queue
import resource
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import torch
from distributed import Client, Future, LocalCluster, Security, WorkerPlugin, get_worker
from traitlets.config import Config

from ..bounds import MEMORY, hold_memory
from ..exercise import lesson_exercises
from ..feedback.filling import Body
from ..feedback.making import Pages
from ..feedback.writer import body_of, page_maker
from ..guard.limits import Limits
from ..guard.template import Template
from ..hand_in.beside import NONE, Beside
from ..hand_in.restoring import Master
from .courtesy import Courtesy
from .graded import Graded
from .keeper import Keeper
from .runner import grade_submission

SETTINGS = {
    "distributed.scheduler.allowed-failures": 2,  # a submission that was there when three workers ended is suspected
    "distributed.comm.timeouts.connect": "20s",
    "distributed.admin.low-level-log-length": 10,  # messages kept for a look back, each with a whole notebook
    "distributed.admin.large-graph-warning-threshold": "1GB",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}

OF_PAGES = ("GenerateFeedback", "HTMLExporter")  # sections of nbgrader_config.py
FEW = 2  # jobs
GLANCE, PATIENCE = (
    1.0,
    120.0,
)  # seconds from look to look whether there is a worker, and without one until none is waited for
CLOSING = 30.0  # seconds that workers have to end by themselves


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


class Grading(WorkerPlugin):
    """Keeps a warm template and the lessons' masters on every worker, also on one that joins or comes back later. On a
    scheduler of somebody's own its `name` is a new one, since other classes may be graded there.
    """

    name = Task.by

    def __init__(
        self,
        masters: Mapping[str, Master],
        limits: Limits,
        sandbox: bool,
        config: Config | None = None,
        gpu_courtesy: bool = False,
    ) -> None:
        self.masters, self.limits, self.sandbox = dict(masters), limits, sandbox
        self.gpu_courtesy = gpu_courtesy
        # What pages are made by. Without it whoever stores the results makes them.
        self.config = None if config is None else Config({name: config[name] for name in OF_PAGES if name in config})

    def setup(self, worker: Any) -> None:
        """Start the template. Runs in the worker's main thread, which bubblewrap must be started from."""
        torch.set_num_threads(1)  # what checks compute is tiny: a second thread would only be waited for
        loop = asyncio.get_event_loop()
        main = threading.get_ident()

        async def made(gpu: bool) -> Template:
            return Template(self.sandbox, gpu)

        def start(gpu: bool = False) -> Template:
            if threading.get_ident() == main:
                return Template(self.sandbox, gpu)
            return asyncio.run_coroutine_threadsafe(made(gpu), loop).result()

        self.keeper = Keeper(start)
        self.courtesy = Courtesy(lambda: start(gpu=True)) if self.gpu_courtesy else None
        self._pages: queue.SimpleQueue[Pages] = queue.SimpleQueue()  # one for each submission at a time
        if self.config is not None:
            for _ in range(worker.state.nthreads):
                pages = page_maker(self.config, self.masters.values())
                pages.start()  # before submissions have threads
                self._pages.put(pages)
        self._before = hold_memory(MEMORY * worker.state.nthreads)

    def teardown(self, worker: Any) -> None:
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
        return replace(graded, marks=tuple(mark.bare() for mark in graded.marks), body=self._body(graded, master.name))

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
    return get_worker().plugins[task.by].grade(task)  # type: ignore[attr-defined]


@contextmanager
def workers(plugin: Grading, jobs: int | None, scheduler: str | None) -> Iterator[Client]:
    """A client of `scheduler`, or of a cluster of `jobs` processes on this machine, with the plug-in in place."""
    with dask.config.set(SETTINGS):
        if scheduler:
            plugin.name = f"{Grading.name}-{os.urandom(8).hex()}"
            with Client(scheduler, timeout="20s") as client:
                client.register_plugin(plugin)
                try:
                    yield client
                finally:
                    with suppress(Exception):  # there may be no scheduler any more
                        client.unregister_worker_plugin(plugin.name)
            return
        count = jobs or os.cpu_count() or 1
        # Submissions run in processes of their own in any case. A few checkers get along as threads of this one, which
        # start at once; many would wait for each other.
        options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": count, "processes": False}
        if count > FEW:
            options = {"n_workers": count, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1"}
            # Whoever reaches a scheduler can run code on it: keys that live as long as the cluster keep others out.
            options["security"] = Security.temporary()
        options |= {"dashboard_address": None, "memory_limit": None}
        # There is no dashboard, but a server for one all the same: on port 8787 for everybody unless told otherwise.
        options["scheduler_kwargs"] = {"dashboard_address": "127.0.0.1:0"}
        options["worker_dashboard_address"] = "127.0.0.1:0"
        options["silence_logs"] = logging.CRITICAL  # what matters comes back as a result
        others = multiprocessing.active_children()
        cluster = LocalCluster(**options)
        try:
            with Client(cluster) as client:
                client.register_plugin(plugin)
                yield client
        finally:
            # A worker that was lost may break how it ends, or be waited for without end: by then all is graded.
            with suppress(Exception):
                cluster.close(timeout=CLOSING)
            for left in multiprocessing.active_children():
                if left not in others:  # or this process would wait for it when it ends
                    left.kill()
                    left.join()


class NoWorkers(RuntimeError):
    """There has been no worker for so long that none is waited for any more."""


def graded_as_they_come(client: Client, tasks: Iterable[Task]) -> Iterator[tuple[Task, Graded | Exception]]:
    """(task, result or what prevented one) in whatever order they finish; none is left out.

    What is lost with a worker, before it is begun, half done, or done and not fetched, is graded again. A submission
    that was there each time several workers ended need not have ended them: it is suspected, and graded once more at
    the end, with nothing else under way. Only one that ends several workers by itself gets no result.
    """
    suspected: list[Task] = []
    for task, result in _wave(client, tasks, max(4, 3 * sum(client.nthreads().values()))):
        if isinstance(result, Exception) and not isinstance(result, NoWorkers):
            suspected.append(task)
        else:
            yield task, result
    yield from _wave(client, suspected, 1)


def _wave(client: Client, tasks: Iterable[Task], room: int) -> Iterator[tuple[Task, Graded | Exception]]:
    """(task, result or what prevented one) as they finish, with `room` tasks under way at a time, so that memory does
    not grow with the class.
    """
    todo = iter(tasks)
    under_way: dict[int, tuple[Task, Future | None]] = {}
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

    for _ in range(room):
        submit()
    alone = 0.0  # seconds without a worker
    while under_way:
        try:
            number, result = done.get(timeout=GLANCE)
        except queue.Empty:
            alone = 0.0 if _has_workers(client) else alone + GLANCE
            if alone >= PATIENCE:
                break
            continue
        alone = 0.0
        task, future = under_way.pop(number)
        yield task, result
        if future is not None:
            future.release()
        submit()
    missing = NoWorkers(f"all workers are lost, and no other has come for {PATIENCE:g} s")
    if under_way:
        yield from ((task, missing) for task in [*(task for task, _ in under_way.values()), *todo])


def _fetch(future: Future) -> Graded | Exception:
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
