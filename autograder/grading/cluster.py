"""Dask's workers, each with a template of its own: processes of this machine, or those of somebody's scheduler."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import Client, LocalCluster, Security, WorkerPlugin
from distributed.utils import get_mp_context

from ..guard.template import Template
from .graded import Graded
from .workers import Grading, Task

SETTINGS = {
    "distributed.scheduler.allowed-failures": 2,  # a submission that was there when three workers ended is suspected
    "distributed.comm.timeouts.connect": "20s",
    "distributed.admin.low-level-log-length": 10,  # messages kept for a look back, each with a whole notebook
    "distributed.admin.large-graph-warning-threshold": "1GB",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.multiprocessing-method": "forkserver",  # workers, also later ones, import nothing themselves
}
CLOSING = 30.0  # seconds that workers have to end by themselves


class OnWorker(WorkerPlugin):
    """Grades on every worker, also on one that joins or comes back later."""

    def __init__(self, grading: Grading) -> None:
        self.name, self.grading = grading.name, grading

    def setup(self, worker: Any) -> None:
        """Begin. Runs in the worker's main thread, which bubblewrap must be started from."""
        loop, main = asyncio.get_event_loop(), threading.get_ident()

        async def made(make: Callable[[], Template]) -> Template:
            return make()

        def started(make: Callable[[], Template]) -> Template:
            if threading.get_ident() == main:
                return make()
            return asyncio.run_coroutine_threadsafe(made(make), loop).result()

        self.grading.begin(worker.state.nthreads, started)

    def teardown(self, worker: Any) -> None:
        """End."""
        self.grading.end()

    def grade(self, task: Task) -> Graded:
        """Grade one submission."""
        return self.grading.grade(task)


@contextmanager
def joined(grading: Grading, scheduler: str) -> Iterator[Client]:
    """A client of a scheduler of somebody's own, where nothing is left behind."""
    with dask.config.set(SETTINGS):
        grading.name = f"{Grading.name}-{os.urandom(8).hex()}"
        with Client(scheduler, timeout="20s") as client:
            client.register_plugin(OnWorker(grading))
            try:
                yield client
            finally:
                with suppress(Exception):  # there may be no scheduler any more
                    client.unregister_worker_plugin(grading.name)


@contextmanager
def started(grading: Grading, count: int) -> Iterator[Client]:
    """A client of `count` processes on this machine."""
    options: dict[str, Any] = {"n_workers": count, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1"}
    # Whoever reaches a scheduler can run code on it: keys that live as long as the cluster keep others out.
    options["security"] = Security.temporary()
    options |= {"dashboard_address": None, "memory_limit": None}
    # There is no dashboard, but a server for one all the same: on port 8787 for everybody unless told otherwise.
    options["scheduler_kwargs"] = {"dashboard_address": "127.0.0.1:0"}
    options["worker_dashboard_address"] = "127.0.0.1:0"
    options["silence_logs"] = logging.CRITICAL  # what matters comes back as a result
    others = multiprocessing.active_children()
    with dask.config.set(SETTINGS):
        get_mp_context().set_forkserver_preload([Grading.__module__])
        cluster = LocalCluster(**options)
        try:
            with Client(cluster) as client:
                client.register_plugin(OnWorker(grading))
                yield client
        finally:
            # A worker that was lost may break how it ends, or be waited for without end: by then all is graded.
            with suppress(Exception):
                cluster.close(timeout=CLOSING)
            for left in multiprocessing.active_children():
                if left not in others:  # or this process would wait for it when it ends
                    left.kill()
                    left.join()
