"""A chain of steps x <- step(x, t) along given times: what every sampler does, without knowing the sampler."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import torch
from torch import Tensor, nn

from course_lib.training.graphs import Recorded, recorded_at_once
from course_lib.training.kept import KEPT
from course_lib.training.progress import bar
from course_lib.training.reads import reads, settings

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
    launches kernels one by one. A recording of the whole chain would take as long as the chain itself. The last four
    recordings are kept, and a later chain whose step reads the same (`course_lib.training.reads`: code, numbers of the
    host, where its tensors lie, the network's mode) on an x of the same form begins to replay at once; trained weights
    and new times, of the same number, are seen. `course_lib.training.kept.KEPT.clear()` gives their memory back.

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
    x, table = x.detach(), times.view(total, -1)  # (S, k)
    network = step if isinstance(step, nn.Module) else model
    modes = [(part, part.training) for part in network.modules()] if network is not None else []
    kept = {0: x.clone()} if 0 in wanted else {}
    with torch.no_grad(), bar(progress, total, "sampling", delay=2) as shown:
        if network is not None:
            network.eval()
        try:
            recording = graph and _on_card(x) and total >= GRAPH_STEPS
            key = _key(step, x, table) if recording else None
            walk = KEPT.take(key) if key else None
            known = walk is not None
            if walk is None:
                walk = Walk(x, table)
                if recording:
                    walk.recorded = recorded_at_once(*walk.ways(step), x.device)
                    walk.begin(x, table)
            else:
                walk.begin(x, table)
            for done in range(1, total + 1):
                if walk.recorded:
                    walk.recorded()
                else:
                    walk.x = walk.following(step)  # a tensor of its own, should `step` keep the last one
                    walk.clock.add_(1)
                if done in wanted:
                    kept[done] = walk.x.clone()
                shown.update()
            # A step that has changed what it reads itself, by filling a cache say, may do so again.
            if key and walk.replays and (known or _key(step, x, table) == key):
                KEPT.put(key, walk)
                end = walk.x.clone()
            else:
                end = walk.x
        finally:
            for part, training in modes:
                part.training = training
    frames = [kept[place] for place in wanted]
    return end, torch.stack(frames) if frames else x.new_empty(0, *x.shape)


class Walk:
    """The tensors of a chain, which stay where they are when it is recorded, and its recording.

    Attributes:
        x: (B, ...), where the walk stands. table: (S, k), its times. clock: (1,), the steps taken.
        recorded: called for each step where there is a recording, or a plain step in its place.
    """

    def __init__(self, x: Tensor, table: Tensor) -> None:
        self.x, self.table = x.clone(), table.clone()
        self.clock = torch.zeros(1, dtype=torch.long, device=x.device)
        self.recorded: Callable[[], None] | None = None

    @property
    def replays(self) -> bool:
        """Whether there is a recording."""
        return isinstance(self.recorded, Recorded) and self.recorded.replay is not None

    def begin(self, x: Tensor, table: Tensor) -> None:
        """Stand at x, before the first of the times in `table`."""
        self.x.copy_(x)
        self.table.copy_(table)
        self.clock.zero_()

    def following(self, step: Callable[..., Tensor]) -> Tensor:
        """step(x, t_i) at the present i."""
        now = self.table.index_select(0, self.clock).unbind(1)  # k times (1,)
        result = step(self.x, *(t.expand(len(self.x)) for t in now))
        if result.shape != self.x.shape:
            made, expected = tuple(result.shape), tuple(self.x.shape)
            raise ValueError(f"chain: step made {made} of {expected}; expected the same shape")
        return result.to(self.x.dtype)

    def ways(self, step: Callable[..., Tensor]) -> tuple[Callable[[], None], Callable[[], Tensor]]:
        """One step in place, and the same from where the walk stands now, whenever it is called; that one gives x."""
        x, table = self.x.clone(), self.table.clone()

        def in_place() -> None:
            self.x.copy_(self.following(step))
            self.clock.add_(1)

        def from_here() -> Tensor:
            self.begin(x, table)
            in_place()
            return self.x

        return in_place, from_here


def _on_card(x: Tensor) -> bool:
    """Whether x is where graphs can be recorded."""
    return x.is_cuda


def _key(step: Callable[..., Tensor], x: Tensor, table: Tensor) -> Hashable:
    """All that a recording of the walk depends on, or None where that cannot be known."""
    read = reads(step, x.device)
    if read is None:
        return None
    form = [(value.shape, value.stride(), value.dtype, value.device) for value in (x, table)]
    return read, *form, *settings(x.device)
