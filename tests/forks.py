"""Functions called in processes of their own, which have what lessons and grading import in their memory already.

They are forks of a server that has computed nothing, not of pytest's process: where a gradient was taken, a fork can
take none.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
LESSONS = ["torch", "torch._dynamo", "IPython", "matplotlib.pyplot", "sympy", "sklearn.datasets", "course_lib.widgets"]
GRADING = ["autograder.cli", "autograder.grading.commands", "autograder.feedback.writer", "autograder.plugins.pages"]
FORKS.set_forkserver_preload([*GRADING, *LESSONS])
SECONDS = 600  # for one call


def elsewhere(function: Callable[..., Any], *args: Any, **environment: str) -> Any:
    """What a function gives in such a process, with these variables in its environment; what it says is not heard.

    Raises EOFError where the process was ended, or the function failed.
    """
    ours, theirs = FORKS.Pipe(duplex=False)
    runs = FORKS.Process(target=_call, args=(function, args, environment, theirs))
    runs.start()
    theirs.close()
    with ours:
        try:
            return ours.recv()
        finally:
            runs.join()


def _call(function: Callable[..., Any], args: tuple, environment: dict[str, str], answer: Any) -> None:
    signal.alarm(SECONDS)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w")
    os.environ.update(environment)
    import torch

    torch.set_num_threads(1)
    answer.send(function(*args))
    os._exit(0)  # whatever the function left running
