"""A chain of steps x <- step(x, t) along given times: what every sampler does, without knowing the sampler."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from course_lib.training.graphs import recorded
from course_lib.training.progress import bar

GRAPH_STEPS = 20  # a shorter chain is over before a recording pays


def chain(
    step: Callable[..., Tensor],
    x: Tensor,
    times: Tensor | Sequence[float] | Sequence[Sequence[float]],
    *,
    model: nn.Module | None = None,
    keep: Iterable[int] = (),
    graph: bool = True,
    progress: bool = True,
) -> tuple[Tensor, Tensor]:
    """Apply `step` along `times`, without gradients: x^(i+1) = step(x^(i), t_i), i = 0..S-1.

    On CUDA a step is recorded once as a graph and replayed (`course_lib.training.graphs`): the host neither waits nor
    launches kernels one by one. A recording of the whole chain would take as long as the chain itself.

    Args:
        step: gives the next x, of the shape of x, whose dtype it keeps. It gets t as a tensor (B,) on x's device, so
            that it can look up coefficients, `alpha_bar[t]`. It may draw noise from PyTorch, but count nothing and
            hold no number that changes: a graph would freeze it.
        x: (B, ...), where the chain starts; it is left as it is.
        times: (S,), in the order of the steps, such as T, T - 1, ..., 1. With (S, k) the step is called with k times,
            `step(x, t, s)` for the pairs (t_i, s_i).
        model: the network in `step`, put into eval mode meanwhile; not needed when `step` is a module itself.
        keep: after how many steps to keep a copy of x, each 0 (the start) to S.
        graph: on CUDA, use a graph where possible; a step that cannot be recorded is warned of once.
        progress: show a bar when it takes more than two seconds.

    Returns:
        x^(S), and the kept x^(i) as one tensor (len(keep), B, ...), in the order of `keep`.

    Raises:
        ValueError: times of no fitting shape, a place to keep outside 0..S, or a step that changes x's shape.
    """
    times = torch.as_tensor(times, device=x.device)
    if times.ndim not in (1, 2):
        raise ValueError(f"chain: times has shape {tuple(times.shape)}; expected (S,), or (S, k) for k times a step")
    total, wanted = len(times), list(keep)
    if any(not 0 <= place <= total for place in wanted):
        raise ValueError(f"chain: keep={wanted}; expected numbers of steps from 0 to {total}")
    table = times.view(total, -1)  # (S, k)
    current = x.detach().clone()
    clock = torch.zeros(1, dtype=torch.long, device=x.device)

    def following() -> Tensor:
        now = table.index_select(0, clock).unbind(1)  # k times (1,)
        result = step(current, *(t.expand(len(x)) for t in now))
        if result.shape != x.shape:
            raise ValueError(f"chain: step made {tuple(result.shape)} of {tuple(x.shape)}; expected the same shape")
        return result.to(x.dtype)

    def in_place() -> None:
        current.copy_(following())
        clock.add_(1)

    network = step if isinstance(step, nn.Module) else model
    modes = [(part, part.training) for part in network.modules()] if network is not None else []
    kept = {0: current.clone()} if 0 in wanted else {}
    with torch.no_grad(), bar(progress, total, "sampling", delay=2) as shown:
        if network is not None:
            network.eval()
        try:
            recording = graph and x.is_cuda and total >= GRAPH_STEPS
            advance = recorded(in_place, following, x.device) if recording else None
            for done in range(1, total + 1):
                if advance:
                    advance()
                else:
                    current = following()  # a tensor of its own, should `step` keep the last one
                    clock.add_(1)
                if done in wanted:
                    kept[done] = current.clone()
                shown.update()
        finally:
            for part, training in modes:
                part.training = training
    frames = [kept[place] for place in wanted]
    return current, torch.stack(frames) if frames else x.new_empty(0, *x.shape)
