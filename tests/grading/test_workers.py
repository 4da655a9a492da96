"""Can nobody else reach the workers of a class, and does it change no mark when they are lost?

COURSE_KILLS says how many workers lose their lives in all (4 unless told otherwise, one at each moment).
"""

import asyncio
import concurrent.futures
import itertools
import os
import queue
import threading
import time
import warnings
from contextlib import ExitStack, closing

import psutil
import pytest
from distributed import KilledWorker, LocalCluster, Status, connect

from autograder.checkout import course_root
from autograder.grading import cluster as cluster_module
from autograder.grading import workers as under_test
from autograder.grading.demo import LESSON, write_class
from autograder.grading.workers import Grading, NoWorkers, Task, workers
from autograder.guard.limits import Limits
from autograder.guard.template import GraderBroken
from autograder.hand_in.restoring import Master


def graded_as_they_come(client, tasks):
    """Each result by itself."""
    return itertools.chain.from_iterable(under_test.graded_as_they_come(client, tasks))


KILLS = int(os.environ.get("COURSE_KILLS", "4"))


def listening(others):
    """The addresses that this process and those it started listen at, besides what `others` do."""
    here = psutil.Process()
    found = [one.net_connections() for one in (here, *here.children(recursive=True)) if one not in others]
    return {one.laddr for each in found for one in each if one.status == psutil.CONN_LISTEN}


def test_two_workers_are_threads_of_this_process_and_listen_to_nobody():
    others = psutil.Process().children(recursive=True)  # of tests before this one
    before = listening(others)
    with workers(Grading({}, Limits(), sandbox=False), 2, None):
        assert not listening(others) - before


@pytest.fixture(scope="module")
def lesson():
    return Master.load(course_root(), LESSON)


@pytest.fixture(scope="module")
def hand_ins(tmp_path_factory):
    """Notebooks of three students: all right, a mistake, nothing written."""
    folder = tmp_path_factory.mktemp("class")
    write_class(course_root(), folder)
    return {name: next((folder / name).glob("*/*.ipynb")).read_bytes() for name in ("ada", "ben", "hugo")}


class Three:
    """Three workers that are processes, and are started again when they end: `client` is theirs.

    `others` are the processes of tests before this module's, and `before` the addresses where somebody listened then.
    """

    def __init__(self, lesson):
        self.lesson, self.stack, self.client = lesson, ExitStack(), None
        self.others = psutil.Process().children(recursive=True)
        self.before = listening(self.others)

    def living(self):
        """The process of each by its address. New ones if one has not come back, as happens on a busy machine."""
        for _ in range(3):
            if self.client is None:
                plugin = Grading({LESSON: self.lesson}, Limits(), sandbox=False)
                self.client = self.stack.enter_context(workers(plugin, 3, None))
            end = time.monotonic() + 100
            while time.monotonic() < end:
                pids = {nanny.worker_address: nanny.pid for nanny in self.client.cluster.workers.values()}
                if len(pids) == 3 and pids.keys() == self.client.nthreads().keys() and all(map(lives, pids.values())):
                    return pids
                time.sleep(0.05)
            self.close()
        pytest.fail("three times, three workers did not come")

    def close(self):
        self.client = None
        self.stack.close()


def lives(pid):
    """Whether there is such a process, and it has not ended: who was killed is listed until somebody notices."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def cluster(lesson):
    with closing(Three(lesson)) as three:
        yield three


def test_workers_are_reached_from_this_machine_alone_and_with_a_key(cluster):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # such as one about a port that is taken
        cluster.living()
    client, opened = cluster.client, listening(cluster.others) - cluster.before
    assert {place.ip for place in opened} == {"127.0.0.1"} and 8787 not in {place.port for place in opened}
    address = client.cluster.scheduler_address
    assert address.startswith("tls://")

    async def join():
        comm = await connect(address.replace("tls://", "tcp://"), timeout=3, deserialize=False)
        await comm.write({"op": "identity"})
        return await comm.read()

    with pytest.raises(Exception, match=r"."):
        asyncio.run(asyncio.wait_for(join(), 10))
    assert client.submit(sum, [1, 2]).result() == 3


def tasks(hand_ins):
    return [Task(i, student, LESSON, content) for i, (student, content) in enumerate(hand_ins.items())]


def public(graded):
    return {**graded.public(), "seconds": 0.0}


@pytest.fixture(scope="module")
def undisturbed(cluster, hand_ins):
    cluster.living()
    return {task.student: public(graded) for task, graded in graded_as_they_come(cluster.client, tasks(hand_ins))}


class Assassin:
    """Kills a worker at one moment of the grading of a class."""

    def __init__(self, cluster, moment, monkeypatch):
        self.pids = cluster.living()
        self.client, self.moment, self.killed = cluster.client, moment, []
        self._fetch, self._over = under_test._fetch, threading.Event()
        monkeypatch.setattr(under_test, "_fetch", self.fetch)

    def __enter__(self):
        self.idle = {address: self.offspring(address) for address in self.pids}
        if self.moment == "before":  # all stand still, so that nothing is begun
            self.each("suspend")
        self.watch = threading.Thread(target=self.look)
        self.watch.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.watch.join()

    def each(self, deed):
        for pid in set(self.pids.values()) - set(self.killed):
            getattr(psutil.Process(pid), deed)()

    def offspring(self, address):
        return {child.pid for child in psutil.Process(self.pids[address]).children(recursive=True)}

    def kill(self, address):
        self.killed.append(self.pids[address])
        psutil.Process(self.pids[address]).kill()

    def look(self):
        """Wait for a worker that has work, and has not begun it, or is half done."""
        while not self._over.wait(0.01) and not self.killed and self.moment in ("before", "computing"):
            for address, keys in self.client.processing().items():
                if keys and (self.moment == "before" or self.offspring(address) - self.idle[address]):
                    self.kill(address)
                    break
        if self.moment == "before":
            self.each("resume")

    def fetch(self, future):
        """The result, from a worker that ends when it is asked for it, or a moment before."""
        if self.moment in ("computed", "fetched") and not self.killed:
            [[address, *_]] = self.client.who_has([future]).values()
            if self.moment == "computed":
                self.kill(address)
            else:
                psutil.Process(self.pids[address]).suspend()
                threading.Timer(0.3, self.kill, [address]).start()
                self.killed.append(self.pids[address])
        return self._fetch(future)


MOMENTS = itertools.islice(itertools.cycle(["before", "computing", "computed", "fetched"]), KILLS)


@pytest.mark.parametrize("number, moment", list(enumerate(MOMENTS)))
def test_what_is_lost_with_a_worker_is_graded_again(cluster, hand_ins, undisturbed, monkeypatch, number, moment):
    with Assassin(cluster, moment, monkeypatch) as assassin:
        came = {task.student: public(result) for task, result in graded_as_they_come(assassin.client, tasks(hand_ins))}
    assert assassin.killed and came == undisturbed


class Named(Grading):
    """Grades by saying who does."""

    def __init__(self, word):
        super().__init__({}, Limits(), sandbox=False)
        self.word = word

    def begin(self, threads, started):
        """There is no template to start."""

    def end(self):
        """Nor one to end."""

    def grade(self, task):
        return f"{task.student} by {self.word}"


def test_classes_that_share_a_scheduler_are_graded_each_by_its_own_and_leave_nothing():
    quiet = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, **quiet) as cluster:
        first, second = Named("the first"), Named("the second")
        place = cluster.scheduler_address
        with workers(first, None, place) as one:
            with workers(second, None, place) as other:
                came = [
                    next(graded_as_they_come(client, [Task(0, "ada", LESSON, b"", by=plugin.name)]))[1]
                    for client, plugin in ((one, first), (other, second))
                ]
            left = one.run(lambda dask_worker: [name for name in dask_worker.plugins if "grading" in name])
        assert came == ["ada by the first", "ada by the second"]
        assert list(left.values()) == [[first.name]]


class Pretended:
    """A client of one worker, which does at once what has come: `deed(students)` gives or raises what becomes of it."""

    def __init__(self, deed):
        self.deed, self.come, self.batches = deed, queue.SimpleQueue(), []
        threading.Thread(target=self.work, daemon=True).start()

    def nthreads(self):
        return {"there": 1}

    def submit(self, _, task, **options):
        future = Pending()
        self.come.put((task, future))
        return future

    def work(self):
        while True:
            batch = [self.come.get()]
            while len(batch) < 12:
                try:
                    batch.append(self.come.get(timeout=0.05))
                except queue.Empty:
                    break
            self.batches.append([task.student for task, _ in batch])
            for task, future in batch:
                try:
                    future.set_result(self.deed(self.batches[-1]) or f"of {task.student}")
                except Exception as error:
                    future.set_exception(error)


class Pending(concurrent.futures.Future):
    def release(self):
        pass


def class_of(*students):
    return [Task(i, student, LESSON, b"") for i, student in enumerate(students)]


def test_a_submission_that_ends_workers_costs_nobody_else_a_result():
    def deed(students):
        if "mallory" in students:
            raise KilledWorker("a task", None, 2)

    client = Pretended(deed)
    tasks_of_four = class_of("ada", "mallory", "ben", "eve")
    came = {task.student: result for task, result in graded_as_they_come(client, tasks_of_four)}
    assert isinstance(came.pop("mallory"), KilledWorker)
    assert came == {name: f"of {name}" for name in ("ada", "ben", "eve")}
    assert ["mallory"] in client.batches  # by itself, before it gets no result


def test_a_template_that_a_neighbour_ended_is_not_held_against_a_submission():
    came = [result for _, result in graded_as_they_come(Pretended(raises_once()), class_of("ada", "ben"))]
    assert sorted(came) == ["of ada", "of ben"]


def raises_once():
    times = iter([True])

    def deed(students):
        if next(times, False):
            raise GraderBroken("the template ended twice")

    return deed


def test_without_workers_every_submission_comes_back_without_a_result(monkeypatch):
    monkeypatch.setattr(under_test, "GLANCE", 0.01)
    monkeypatch.setattr(under_test, "PATIENCE", 0.05)

    class Deserted(Pretended):
        def nthreads(self):
            return {}

        def work(self):
            """There is nobody."""

    wanted = class_of(*(f"student{i}" for i in range(20)))
    came = list(graded_as_they_come(Deserted(None), iter(wanted)))
    assert sorted(task.number for task, _ in came) == list(range(20))
    assert all(isinstance(result, NoWorkers) for _, result in came)


def test_without_a_scheduler_every_submission_comes_back_without_a_result():
    class Lost(Pretended):
        def submit(self, *_, **options):
            raise RuntimeError("Client is closed")

    came = list(graded_as_they_come(Lost(None), class_of(*(f"student{i}" for i in range(20)))))
    assert sorted(task.number for task, _ in came) == list(range(20))
    assert all(isinstance(result, RuntimeError) for _, result in came)


def test_how_a_cluster_ends_costs_nothing_that_is_graded(lesson, monkeypatch):
    """Where a worker was lost at the wrong moment, distributed looks it up once more as it closes, and fails."""

    class Broken(LocalCluster):
        def close(self, timeout=None):
            assert timeout is not None, "what hangs would be waited for without end"
            for worker in self.workers.values():
                worker.status = Status.failed  # as a worker's keeper leaves it, which starts no other then
            raise KeyError("tls://127.0.0.1:1")

    monkeypatch.setattr(cluster_module, "LocalCluster", Broken)
    with workers(Grading({LESSON: lesson}, Limits(), sandbox=False), under_test.FEW + 1, None) as client:
        answer = client.submit(int, "7").result()
        cluster = client.cluster
        pids = [nanny.pid for nanny in cluster.workers.values()]
    assert answer == 7
    assert len(pids) == under_test.FEW + 1 and not any(map(lives, pids)), "a run would wait for them when it ends"
    super(Broken, cluster).close(timeout=20)
