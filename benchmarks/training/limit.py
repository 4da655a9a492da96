"""What no loop can beat: the bare computation of one step, and what the hardware could do with it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.clock import spent
from benchmarks.training.diffusion import Plan
from benchmarks.training.loops import Loop
from benchmarks.training.network import new_network


class Step:
    """Forward, backward and optimiser on one fixed noised batch: no data, no noise, no schedule, no average.

    Args:
        last: channels last in memory, the order that convolutions read fastest on some machines.
        capturable: for a CUDA graph.
    """

    def __init__(
        self, network: nn.Module, images: Tensor, plan: Plan, last: bool = False, capturable: bool = False
    ) -> None:
        if last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x0 = images[: plan.batch_size]
        self.network, self.eps = network.train(), torch.randn_like(x0)
        self.t = torch.randint(plan.diffusion.steps, (len(x0),), device=x0.device)
        self.xt = plan.diffusion.noised(x0, self.t, self.eps)
        self.optimizer = AdamW(network.parameters(), lr=plan.lr, fused=True, capturable=capturable)

    def forward(self) -> Tensor:
        """The loss."""
        return (self.network(self.xt, self.t) - self.eps).square().mean()

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.forward().backward()
        self.optimizer.step()


def bare(network: nn.Module, images: Tensor, plan: Plan, seed: int, last: bool = False) -> None:
    """`plan.steps` bare steps: the limit of a loop that calls PyTorch's operators one by one."""
    step = Step(network, images, plan, last)
    for _ in range(plan.steps):
        step()


def graph(network: nn.Module, images: Tensor, plan: Plan, seed: int, last: bool = False) -> None:
    """The bare step captured as one CUDA graph and replayed: the limit on a GPU, without the host's work."""
    step = Step(network, images, plan, last, capturable=True)
    side = torch.cuda.Stream(images.device)
    side.wait_stream(torch.cuda.current_stream(images.device))
    with torch.cuda.stream(side):  # what is made lazily must exist before the capture
        for _ in range(3):
            step()
    torch.cuda.current_stream(images.device).wait_stream(side)
    step.optimizer.zero_grad(set_to_none=True)  # so that the capture allocates gradients of its own
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        step.forward().backward()
        step.optimizer.step()
    for _ in range(plan.steps):
        # A replay writes the gradients anew: nothing has to be set to zero.
        captured.replay()


def limits(device: torch.device) -> dict[str, Loop]:
    """The limits that can be measured on this device."""
    found: dict[str, Loop] = {"bare": bare, "bare, channels last": partial(bare, last=True)}
    if device.type == "cuda":
        found |= {"graph": graph, "graph, channels last": partial(graph, last=True)}
    return found


class Operators(TorchDispatchMode):
    """Counts the operators that compute something (views are free), and the bytes they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.bytes = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.count += 1
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return result


def operators_per_step(loop: Loop, images: Tensor, plan: Callable[[int], Plan], few: int, many: int) -> float | None:
    """Operators that one more step of a loop calls, on average over `many` - `few` steps.

    On a GPU each is at least one kernel launch, unless the loop replays a graph. None for a loop that cannot record
    its graph while it is being counted.
    """
    counts = []
    for steps in (few, many):
        try:
            with Operators() as operators:
                loop(new_network(0, images.device), images, plan(steps), 0)
        except RuntimeError:
            return None
        counts.append(operators.count)
    return (counts[1] - counts[0]) / (many - few)


def describe(images: Tensor, plan: Plan, repeats: int) -> dict[str, Any]:
    """FLOPs, bytes and operators of one bare step, the seconds of its parts, and the machine's measured peaks."""
    device = images.device
    network = new_network(0, device)
    step = Step(network, images, plan)
    step()
    with FlopCounterMode(display=False) as flops:
        step()
    with Operators() as operators:
        step()
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "flops": flops.get_total_flops(),
        "bytes": operators.bytes,
        "operators": operators.count,
        "peak": peaks(device),
        "parts_ms": parts(step, images, plan, repeats),
    }


def peaks(device: torch.device) -> dict[str, float]:
    """Measured, best of several: FLOP/s of a matrix product, bytes/s of a copy, seconds of the smallest operator."""
    side, length = (8192, 2**28) if device.type == "cuda" else (1024, 2**24)
    x, y, one = torch.randn(side, side, device=device), torch.randn(length, device=device), torch.ones(1, device=device)
    target = torch.empty_like(y)
    return {
        "flops_per_second": 2 * side**3 / _best(lambda: x @ x, device, 10, 3),
        "bytes_per_second": 2 * 4 * length / _best(lambda: target.copy_(y), device, 10, 3),
        "operator_seconds": _best(lambda: one.add_(1), device, 10, 1000),
    }


def parts(step: Step, images: Tensor, plan: Plan, repeats: int) -> dict[str, float]:
    """Milliseconds of the parts of a step, each on its own and waited for: the best of five series."""
    device, size = images.device, plan.batch_size
    weights: list[Tensor] = list(step.network.parameters())
    average = [w.detach().clone() for w in weights]
    order = torch.randperm(len(images), device=device)

    def draw() -> None:
        x0 = images[order[:size]]
        t = torch.randint(plan.diffusion.steps, (size,), device=device)
        plan.diffusion.noised(x0, t, torch.randn_like(x0))

    def move() -> None:
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 0.005)

    def both() -> None:
        step.network.zero_grad()
        step.forward().backward()

    forward = _best(step.forward, device, 5, repeats)
    seconds = {
        "drawing the batch, t and noise": _best(draw, device, 5, repeats),
        "forward": forward,
        "backward": _best(both, device, 5, repeats) - forward,
        "optimiser (fused)": _best(step.optimizer.step, device, 5, repeats),
        "moving average (foreach)": _best(move, device, 5, repeats),
    }
    return {name: 1e3 * value for name, value in seconds.items()}


def _best(work: Callable[[], object], device: torch.device, series: int, repeats: int) -> float:
    """Seconds of one call of `work`: the smallest mean of `repeats` calls among so many series."""

    def repeated() -> None:
        for _ in range(repeats):
            work()

    repeated()
    return min(spent(repeated, device).wall for _ in range(series)) / repeats
