"""Is what was freed at hand for the next?"""

import subprocess
import sys

PROGRAM = """
import resource
from autograder.sandbox.memory import keep_what_is_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [b"x" * (8 * 2**20 + n) for n in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(2):
    print([faults() for _ in range(4)][-1])
    keep_what_is_freed()
"""


def test_what_is_freed_is_kept_for_the_next():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    handed_back, kept = map(int, done.stdout.split())
    assert kept < 100 < 1000 < handed_back  # of 8192 pages
