"""CUDA graphs: a computation that repeats is recorded once, and from then on the GPU needs the host for its start only.

A small network's step is hundreds of kernels of a few microseconds each, and the host takes longer to launch them one
by one than the GPU to run them. A graph launches them all at once (https://docs.pytorch.org, "CUDA semantics", "CUDA
Graphs"). What it repeats is literally the same: the same kernels on the same addresses. Numbers of the host are frozen.
"""

import functools
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from course_lib.device import random_state, set_random_state
from course_lib.training.kept import KEPT

Result = TypeVar("Result")
WARM_UP = 3  # real calls before the recording: libraries, the optimiser's state and the memory must be there
CHANGES = "it changes with a counter or with Python's, NumPy's or the CPU's chance"


def recorded(call: Callable[[], None], evaluate: Callable[[], Tensor], device: torch.device) -> Callable[[], None]:
    """`call` as a CUDA graph (`Recorded`); where `evaluate`, what it computes, does not repeat itself, `call` as it is.

    A graph freezes what it takes from the host: a counter that a loss keeps, a number from Python's or NumPy's chance.
    One warning says so.
    """
    if repeats_itself(evaluate, device):
        return Recorded(call, device)
    _warn(CHANGES)
    return call


def recorded_at_once(
    call: Callable[[], None], evaluate: Callable[[], Tensor], device: torch.device
) -> Callable[[], None]:
    """As `recorded`, for what is over soon: the two evaluations that tell whether it repeats itself are the warm-up.

    `evaluate` does all that `call` does, each time from the same start; the second time it must wait for nothing.
    """
    before = random_state(device)
    first = _beside(evaluate, device)  # compiles and initialises; what it raises is the caller's own
    set_random_state({device.type: before[device.type]}, device)
    try:
        second = _beside(functools.partial(without_waiting, evaluate), device)
        why = None if _equal(first, second) else CHANGES
    except RuntimeError as error:
        why = _reason(error)
    set_random_state(before, device)
    if why is None:
        return Recorded(call, device, warm_up=0)
    _warn(why)
    return call


class Recorded:
    """A repeated `call()`, recorded after `warm_up` calls on `device` and replayed from then on.

    `call` takes and returns nothing; it reads and writes tensors that stay where they are. Every call counts: the
    warm-up calls are ordinary ones, and recording executes nothing, so the result is the plain repetition's.

    When it cannot be recorded (it waits for the GPU, say: `.item()`, `.cpu()`, `if tensor`), one warning says so and
    the plain calls go on.
    """

    def __init__(self, call: Callable[[], None], device: torch.device, warm_up: int = WARM_UP) -> None:
        self.call, self.device, self.warm_up = call, device, warm_up
        self.calls = 0
        self.replay: Callable[[], None] | None = None
        self.given_up = False

    def __call__(self) -> None:
        if self.replay is not None:
            return self.replay()
        if self.given_up:
            return self.call()
        self.calls += 1
        if self.calls == 1 and self.warm_up:
            return on_side_stream(self.call, self.device)  # compiles and initialises, which may well wait for the GPU
        before = random_state(self.device)
        try:
            if self.calls <= self.warm_up:
                return on_side_stream(functools.partial(without_waiting, self.call), self.device)
            self.replay = self.call = capture(self.call, self.device)  # a recording keeps no network alive
        except RuntimeError as error:
            self.given_up = True
            set_random_state(before, self.device)
            _warn(_reason(error))
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
        KEPT.clear()  # what they replay draws from the state that was given up
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


def without_waiting(call: Callable[[], Result]) -> Result:
    """Run `call`, with an error where it waits for the GPU. So it fails here, and not amid a recording.

    Raises:
        RuntimeError: it waits.
    """
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "a prototype feature", once a session
        torch.cuda.set_sync_debug_mode("error")
    try:
        return call()
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
    return _equal(*values)


def _beside(evaluate: Callable[[], Tensor], device: torch.device) -> Tensor:
    """A copy of what `evaluate` gives on a side stream."""
    values: list[Tensor] = []
    on_side_stream(lambda: values.append(evaluate().detach().clone()), device)
    return values[0]


def _equal(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True)


def _reason(error: RuntimeError) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


def _warn(why: str) -> None:
    """To whoever called `fit` or `chain`."""
    warnings.warn(f"not recorded as a CUDA graph, so slower: {why}", RuntimeWarning, stacklevel=4)
