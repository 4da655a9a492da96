"""Is memory in large pages what it was, and is what was freed at hand for the next?"""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, re, resource
from pathlib import Path
from autograder.sandbox import memory

def large():
    return int(re.search(r"AnonHugePages: *([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text())[1])

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [b"x" * (8 * 2**20 + n) for n in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

held = [bytes([n % 256]) * 1000 for n in range(40_000)]
before = large()
memory.gather()
print(large() - before, held == [bytes([n % 256]) * 1000 for n in range(40_000)])
[faults() for _ in range(3)]
handed_back = faults()
memory.keep_what_is_freed()
[faults() for _ in range(3)]
print(handed_back, faults())
"""


@pytest.fixture(scope="module")
def said():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_large_pages_hold_what_small_ones_held(said):
    (large, same), _ = said
    assert same == "True"
    if large == "0":
        pytest.skip("this kernel has no large pages to give")
    assert int(large) > 20_000  # kB of the 40,000 that are held


def test_what_is_freed_is_kept_for_the_next(said):
    _, (handed_back, kept) = said
    assert int(kept) < 100 < 1000 < int(handed_back)  # of 8192 pages
