"""CUDA graphs: a computation that repeats is recorded once, and from then on the GPU needs the host for its start only.

A small network's step is hundreds of kernels of a few microseconds each, and the host takes longer to launch them one
by one than the GPU to run them. A graph launches them all at once (https://docs.pytorch.org, "CUDA semantics", "CUDA
Graphs"). What it repeats is literally the same: the same kernels on the same addresses. Numbers of the host are frozen.
"""

import functools
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.device import random_state, set_random_state

WARM_UP = 3  # real calls before the recording: libraries, the optimiser's state and the memory must be there


def recorded(call: Callable[[], None], evaluate: Callable[[], Tensor], device: torch.device) -> Callable[[], None]:
    """`call` as a CUDA graph (`Recorded`); where `evaluate`, what it computes, does not repeat itself, `call` as it is.

    A graph freezes what it takes from the host: a counter that a loss keeps, a number from Python's or NumPy's chance.
    One warning says so.
    """
    if repeats_itself(evaluate, device):
        return Recorded(call, device)
    why = "it changes with a counter or with Python's, NumPy's or the CPU's chance"
    warnings.warn(f"not recorded as a CUDA graph, so slower: {why}", RuntimeWarning, stacklevel=3)
    return call


class Recorded:
    """A repeated `call()`, recorded at the fourth call on `device` and replayed from then on.

    `call` takes and returns nothing; it reads and writes tensors that stay where they are. Every call counts: the
    warm-up calls are ordinary ones, and recording executes nothing, so the result is the plain repetition's.

    When it cannot be recorded (it waits for the GPU, say: `.item()`, `.cpu()`, `if tensor`), one warning says so and
    the plain calls go on.
    """

    def __init__(self, call: Callable[[], None], device: torch.device) -> None:
        self.call, self.device = call, device
        self.calls = 0
        self.replay: Callable[[], None] | None = None
        self.given_up = False

    def __call__(self) -> None:
        if self.replay is not None:
            return self.replay()
        if self.given_up:
            return self.call()
        self.calls += 1
        if self.calls == 1:
            return on_side_stream(self.call, self.device)  # compiles and initialises, which may well wait for the GPU
        before = random_state(self.device)
        try:
            if self.calls <= WARM_UP:
                return on_side_stream(functools.partial(without_waiting, self.call), self.device)
            self.replay = capture(self.call, self.device)
        except RuntimeError as error:
            self.given_up = True
            set_random_state(before, self.device)
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
            warnings.warn(f"not recorded as a CUDA graph, so slower: {first_line}", RuntimeWarning, stacklevel=3)
            return self.call()
        return self.replay()


def capture(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Record `call` as a CUDA graph; the answer replays it. Executes nothing.

    Raises:
        RuntimeError: it cannot be recorded. PyTorch's generator and stream are sound again.
    """
    generator = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    stream, sound = torch.cuda.current_stream(device), generator.clone_state()
    graph = torch.cuda.CUDAGraph()
    try:
        # Other threads, a notebook's widgets say, may go on using the GPU meanwhile.
        with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            call()
    except RuntimeError:
        # A recording that breaks off leaves its stream current and the generator in capture mode, where every later
        # torch.randn of the session would fail ("Offset increment outside graph capture").
        torch.cuda.set_stream(stream)
        generator.graphsafe_set_state(sound)
        raise
    return graph.replay


def on_side_stream(call: Callable[[], None], device: torch.device) -> None:
    """Run `call` on a stream of its own, after what is under way and before what follows: the rule for warm-up."""
    side, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    side.wait_stream(current)
    try:
        with torch.cuda.stream(side):
            call()
    finally:
        current.wait_stream(side)


def without_waiting(call: Callable[[], None]) -> None:
    """Run `call`, with an error where it waits for the GPU. So it fails here, and not amid a recording.

    Raises:
        RuntimeError: it waits.
    """
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "a prototype feature", once a session
        torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def repeats_itself(evaluate: Callable[[], Tensor], device: torch.device) -> bool:
    """Whether `evaluate` gives the same value again from the same random state of `device`, which is left as it was.

    Chance of another kind (Python's, NumPy's, for a GPU also the CPU's) is not put back in between, and so is noticed.
    """
    before = random_state(device)
    values = []
    for _ in range(2):
        set_random_state({device.type: before[device.type]}, device)
        values.append(evaluate().detach().clone())
    set_random_state(before, device)
    return torch.allclose(values[0], values[1], rtol=1e-6, atol=0, equal_nan=True)
