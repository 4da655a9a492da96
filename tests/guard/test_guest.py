"""Does a submission's process answer, stop when told, and end for certain?"""

import ast
import importlib.util
import itertools
import time
from pathlib import Path

import pytest
import torch

from autograder.builder.source import find_lessons, read_lesson
from autograder.checkout import course_root
from autograder.guard import guest as process_module
from autograder.guard.accounts import tree
from autograder.guard.guest import GuestProcess
from autograder.guard.template import Template
from autograder.hand_in.restoring import Master
from autograder.student import LinkBroken, Remote


@pytest.fixture
def process(template, limits):
    with GuestProcess(template, limits, seed=1) as made:
        yield made


def names(outputs):
    return [output["output_type"] for output in outputs]


def test_a_cell_gives_the_outputs_a_kernel_would(process):
    source = "import sys\nprint('a'); print('b', file=sys.stderr)\ndisplay(1)\n%matplotlib inline\n1 + 1"
    outputs = process.run_cell(source, 5)
    assert names(outputs) == ["stream", "stream", "display_data", "execute_result"]
    assert outputs[-1]["data"] == {"text/plain": "2"}


@pytest.mark.parametrize("source", ["def f(:", "1 / 0", "exit()", "raise SystemExit", "import no_such_module"])
def test_what_fails_in_one_cell_leaves_the_next_alone(process, source):
    process.run_cell(source, 5)
    assert process.run_cell("print(6)", 5)[0]["text"] == "6\n"


def imports_of_lessons():
    """By lesson the modules that its cells import, experiments and what functions import apart."""
    lessons = {}
    for source in find_lessons(course_root()):
        lessons[source.parent.name] = found = set()
        for cell in read_lesson(source, course_root()).cells:
            for node in cell.tree.body if cell.is_code and not cell.is_experiment else ():
                if isinstance(node, ast.Import):
                    found.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    parts = (f"{node.module}.{alias.name}" for alias in node.names)
                    found.update({node.module, *(part for part in parts if is_module(part))})
    return lessons


def is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, no package
        return False


def test_what_lessons_import_is_there_before_a_submission_starts(process):
    """Else each submission pays for it, by a third of a second for a large package."""
    of_lessons = imports_of_lessons()
    assert {"torch", "sympy.stats", "course_lib.plots"} <= of_lessons["05-posterior"]
    # A worker's template is told what its own lessons import.
    wanted = set().union(*(names - {*Master.load(course_root(), one).modules} for one, names in of_lessons.items()))
    assert "sympy.stats" not in wanted and "course_lib.plots" in wanted
    outputs = process.run_cell(
        f"import sys\nprint([name for name in {sorted(wanted)!r} if name not in sys.modules])", 5
    )
    assert outputs[0]["text"] == "[]\n"


def test_top_level_await_works(process):
    assert process.run_cell("import asyncio\nawait asyncio.sleep(0)\n7", 5)[-1]["data"]["text/plain"] == "7"


def test_a_cell_over_its_time_is_interrupted_and_the_process_lives(process):
    start = time.monotonic()
    outputs = process.run_cell("import time\nx = 1\ntime.sleep(60)", 0.3)
    assert outputs[-1]["ename"] == "KeyboardInterrupt" and time.monotonic() - start < 30
    assert process.run_cell("x", 5)[-1]["data"]["text/plain"] == "1"


STUBBORN = "import time\nwhile True:\n    try:\n        time.sleep(0.01)\n    except BaseException:\n        n = 1"


@pytest.mark.parametrize("source", [STUBBORN, "import os; os._exit(0)", "import ctypes; ctypes.string_at(0)"])
def test_a_process_that_cannot_be_asked_any_more_is_ended(process, source):
    with pytest.raises(LinkBroken):
        process.run_cell(source, 0.3)
    assert not process.alive
    with pytest.raises(LinkBroken):
        process.run_cell("1", 1)


def test_nothing_is_left_of_a_submission(template, limits):
    daemon = "import os, subprocess\nsubprocess.Popen(['setsid', 'sleep', '60'])\nprint('started')"
    with GuestProcess(template, limits, seed=1) as process:
        assert process.run_cell(daemon, 5)[0]["text"] == "started\n"
        family = tree(process.pid)
        assert len(family) == 2 and all(map(_runs, family))
    assert _all_end(family)


def test_without_a_sandbox_nothing_is_left_either(limits):
    modules = "no_such_module", "sympy.stats"
    with Template(sandbox=False, modules=modules) as template, GuestProcess(template, limits, seed=1) as process:
        folder = Path(process.run_cell("import os; print(os.getcwd())", 5)[0]["text"].strip())
        assert folder.is_dir()
        # What a lesson imports is there before a submission begins; what none imports, nobody waits for.
        there = "import sys; print([name for name in WANTED if name in sys.modules])"
        there = there.replace("WANTED", "('matplotlib.pyplot', 'sympy.stats', 'sklearn', 'torch._dynamo')")
        assert process.run_cell(there, 5)[0]["text"] == "['matplotlib.pyplot', 'sympy.stats']\n"
    assert not folder.exists() and _all_end([process.pid])


def _all_end(family):
    """Whether these processes, which have been killed, are gone soon."""
    deadline = time.monotonic() + 60
    while any(map(_runs, family)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(_runs, family))


def _runs(pid):
    """Whether the process is there and no zombie that waits for its reaper."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_output_is_cut_not_kept_in_memory(process):
    outputs = process.run_cell("for _ in range(40):\n    print('x' * 100_000)", 10)
    assert sum(len(output["text"]) for output in outputs) < 1.1 * 2**20
    assert "output cut" in outputs[-1]["text"]


def test_callbacks_are_answered_while_a_call_is_open(process):
    process.run_cell("def twice(f, x):\n    return f(f(x))", 5)
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert torch.equal(Remote(process.calls(), "twice")(lambda y: y * 3, x), 9 * x)


def test_two_processes_with_one_seed_draw_the_same(template, limits):
    draws = []
    for _ in range(2):
        with GuestProcess(template, limits, seed=5) as process:
            source = "import torch, numpy, random\nprint(torch.rand(2), numpy.random.rand(), random.random())"
            draws.append(process.run_cell(source, 5)[0]["text"])
    assert draws[0] == draws[1]


def test_one_call_over_its_time_is_enough(process):
    process.run_cell("import time\ndef slow(x):\n    time.sleep(60)", 5)
    calls, start = Remote(process.calls(), "slow"), time.monotonic()
    kinds = [calls(1).kind for _ in range(5)]
    assert kinds == ["timeout"] * 5 and time.monotonic() - start < 8  # one limit of 2 s, not five


@pytest.mark.parametrize(("waited", "interrupted"), [(0.3, False), (0.0, True)])
def test_time_in_which_others_had_the_processor_does_not_count(template, limits, monkeypatch, waited, interrupted):
    account = itertools.count(step=waited)  # what the kernel's account says each time it is asked
    monkeypatch.setattr(process_module, "_starved", lambda schedule: float(next(account)))
    with GuestProcess(template, limits, seed=1) as process:
        outputs = process.run_cell("import time\nfor _ in range(10):\n    time.sleep(0.1)\nprint('done')", 0.4)
        assert process.interrupted is interrupted
        assert ("done" in str(outputs)) is not interrupted
