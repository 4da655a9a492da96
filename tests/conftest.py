"""Every run draws the same hidden inputs. Tests that hold a process to seconds may lose a race with a busy machine:
those alone get a second try.
"""

import gc
import os
from importlib.util import find_spec

import pytest
import torch

import autograder.cli  # before anything imports nbformat: see there
import autograder.sandbox.pretend_gpu  # noqa: F401  (its device must be there before the first backward pass)

os.environ.setdefault("COURSE_SECRET", "of the tests")

# On a machine with a card course_lib's tests run without the instructor's distribution (benchmarks/on_gpu.sh).
pytest_plugins = ("tiny_fixtures",) if find_spec("nbgrader") else ()

RACES = (
    "guard/test_limits.py",
    "guard/test_cgroups.py",
    "guard/test_guest.py",
    "grading/test_runner.py",
    "grading/test_honest.py",
)
SLOW = ("grading/test_classroom.py", "test_browser.py", "test_demo.py")


def pytest_collection_modifyitems(items):
    no_card = pytest.mark.skip(reason="needs CUDA")
    for item in items:
        if item.get_closest_marker("cuda") and not torch.cuda.is_available():
            item.add_marker(no_card)
        place = item.nodeid.partition("::")[0]
        races = place.endswith(RACES + SLOW) or "[resources: " in item.nodeid
        if races:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish():
    """What is loaded by now stays, and is not looked through for garbage again and again."""
    gc.collect()
    gc.freeze()
