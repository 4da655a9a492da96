"""What a command imports, asked of a Python of its own."""

import subprocess
import sys

HEAVY = (
    "torch",
    "nbgrader",
    "nbconvert",
    "distributed",
    "sklearn",
    "matplotlib",
    "sympy",
    "IPython",
    "rich",
)
PROGRAM = """
import sys
from autograder.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
print(f"ended with {status}:", *(name for name in HEAVY if name in sys.modules))
""".replace("HEAVY", repr(HEAVY))


def imported(*arguments, cwd=None):
    """Those of `HEAVY` that `course ARGUMENTS` has imported when it ends well."""
    line = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    run = subprocess.run(line, capture_output=True, text=True, cwd=cwd, check=True)
    said = run.stdout.splitlines()[-1]
    assert said.startswith("ended with 0:"), run.stdout + run.stderr
    return set(said.split()[3:])
