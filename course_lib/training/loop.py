"""The training loop of the whole course."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.device import private_randomness
from course_lib.training.checkpoint import TrainingState
from course_lib.training.graphs import recorded
from course_lib.training.history import History
from course_lib.training.layout import best_layout, untouched
from course_lib.training.processes import Team, join_team
from course_lib.training.progress import bar, in_short
from course_lib.training.rates import average_gains, is_adam, make_optimizer, rate_factors
from course_lib.training.step import LossOf, Step

AMP_PARAMETERS = 2_000_000  # a smaller model waits for kernel launches, and autocast only adds more of them
GRAPH_STEPS = 50  # a shorter run is over before a recording pays


def fit(
    model: nn.Module,
    loss: Callable[..., Tensor],
    data: Tensor | Sequence[Tensor],
    *,
    steps: int,
    batch_size: int = 128,
    lr: float = 3e-3,
    schedule: str = "onecycle",
    optimizer: Callable[..., Optimizer] | Optimizer | None = None,
    ema: float | None = None,
    seed: int = 0,
    amp: bool | str = "auto",
    compile: bool = False,
    graph: bool | str = "auto",
    channels_last: bool | str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
    label: str = "loss",
) -> History:
    """Minimise `loss(model, *batch)` over `model`'s parameters; the model is left trained, in eval mode.

    Args:
        loss: gives a scalar for one batch. Noise drawn in it, `torch.randn_like(x)`, is made repeatable.
        data: one tensor or several of equal length (N, ...), moved to the model's device once. Each epoch has
            an order of its own; the last N mod batch_size examples of that order wait for the next epoch, so
            that all batches have one size. Fewer than batch_size examples make one batch.
        steps: number of updates; wrap it in `budget(...)`.
        schedule: "onecycle" (up to `lr` in the first 30%, then down to 0), "cosine" (from `lr` down to 0) or
            "constant".
        optimizer: called as `optimizer(parameters, lr=lr)`, e.g. `torch.optim.AdamW`; default Adam. A ready
            one is used as it is, with its own learning rates in place of `lr`.
        ema: decay of a moving average of the weights, e.g. 0.995; the model ends with that average.
        seed: of the data's order and the noise in `loss`. Outside, chance goes on as if `fit` had not been.
        amp: arithmetic in bfloat16. "auto" uses it on CUDA, for models large enough to gain from it.
        compile: pass `loss` through torch.compile: the first step takes long, the others less.
        graph: record the whole step as a CUDA graph and replay it (`training.graphs`). "auto" does so on CUDA,
            with Adam or AdamW given as a class, in one process; a loss that cannot be recorded is warned of once
            and runs as usual. It must be a function of its tensors and PyTorch's chance on the device.
        channels_last: order of images in memory while training (`training.layout`).
        checkpoint: file to write every `checkpoint_every` steps (default: ten times a run) and at the end.
            When it exists, training goes on from there, on the CPU bit for bit as if it had never stopped.
            Not used where `budget` is short: a short run must neither find nor leave anything.
        progress: show a progress bar; it is off while grading and with COURSE_PROGRESS=off.
        label: name and unit of the loss, for the bar and the figure.

    Under `torchrun --nproc-per-node=R script.py` the same call trains on R devices: each process takes its part of
    every batch, gradients and losses are averaged, and rank 0 alone shows the bar and writes checkpoints. With a
    loss that draws nothing, the result is that of one process. Noise differs between the processes (rank r starts
    from seed + r), as it should between the parts of a batch, so it is not the noise one process would draw.

    Raises:
        ValueError, TypeError: an argument does not fit; the message says what to change.
        FloatingPointError: the loss or a weight is no longer finite; the message names the step. A checkpoint
            on disk is from before.
    """
    device = next(model.parameters()).device
    tensors = _on_device(data, device)
    examples = len(tensors[0])
    size = min(batch_size, examples)
    batches = examples // size  # per epoch
    factors, gains = rate_factors(schedule, steps), average_gains(ema, steps)
    team = join_team(device)
    recording = _recording(graph, optimizer, device, team, steps)
    autocast = _autocast(amp, model, device)
    checkpoint = None if checkpoint is None or in_short() else Path(checkpoint)
    save_every = checkpoint_every or max(1, steps // 10)
    look_every = max(10, min(steps // 20, 200))
    if isinstance(optimizer, Optimizer):
        channels_last = False  # what it remembers of the weights lies as they do now

    started = time.perf_counter()
    with (
        best_layout(model, loss, [x[:size] for x in tensors], channels_last),
        private_randomness(seed + team.rank, device),
        bar(progress and team.leads, steps, f"minimising {label}") as shown,
    ):
        joined = team.joined(LossOf(model, torch.compile(loss) if compile else loss), device)
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = make_optimizer(optimizer, weights, lr, recordable=recording)
        state = TrainingState(
            model,
            optimizer,
            losses=torch.full((steps,), math.nan, device=device),
            order=torch.arange(examples, device=device),
            clock=torch.zeros(1, dtype=torch.long, device=device),
            average=[] if ema is None else [w.detach().clone() for w in weights],
            settings=dict(  # what decides the result: a run with other ones must not go on from this one's checkpoint
                steps=steps,
                examples=examples,
                batch_size=size,
                lr=lr,
                schedule=schedule,
                ema=ema,
                seed=seed,
                optimizer=type(optimizer).__name__,
                processes=team.size,
            ),
            team=team,
        )
        rows = state.order[: batches * size].view(batches, size)[:, team.share(size)]
        lrs = [lr * factor for factor in factors]
        step = Step(state, joined, tensors, rows, lrs=lrs, gains=gains, autocast=autocast, weight=team.weight(size))
        if checkpoint and checkpoint.exists():
            state.load(checkpoint)
            if team.leads:
                print(f"going on from step {state.done} of {steps} in {checkpoint}")
        looked = resumed_at = state.done
        model.train()
        take_step: Callable[[], None] = step
        if recording:
            with untouched(model, device):
                take_step = recorded(step, step.batch_loss, device)
        rates = [group["lr"] for group in optimizer.param_groups]
        for now in range(resumed_at, steps):
            if now % batches == 0:
                torch.randperm(examples, out=state.order)
                team.from_leader_(state.order)
            if not recording:  # else the step looks the learning rate up by itself
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * factors[now]
            take_step()

            state.done = done = now + 1
            saving = bool(checkpoint) and (done % save_every == 0 or done == steps)
            if saving or done % look_every == 0 or done == steps:
                # The one place that waits for the device, some twenty times a run: a run that has gone astray
                # must stop before it is saved, and the bar must move.
                team.mean_(state.losses[looked:done])
                recent, looked = _finite_mean(state, weights, look_every), done
                shown.set_postfix_str(f"{label} {recent:.4g}", refresh=False)
                shown.update(done - shown.n)
            if saving and checkpoint:
                state.save(checkpoint)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # of an optimiser that came ready, as it came
        for weight, average in zip(weights, state.average, strict=False):
            weight.data.copy_(average)
        optimizer.zero_grad(set_to_none=True)  # with a graph, the gradients lie in its memory
    model.eval()
    return History(state.losses.cpu(), time.perf_counter() - started, label, resumed_at)


def _recording(
    graph: bool | str,
    optimizer: Callable[..., Optimizer] | Optimizer | None,
    device: torch.device,
    team: Team,
    steps: int,
) -> bool:
    """Whether to record the step as a CUDA graph."""
    if graph not in (True, False, "auto"):
        raise ValueError(f'fit: graph={graph!r}; expected True, False or "auto"')
    possible = device.type == "cuda" and team.size == 1 and is_adam(optimizer)
    if graph is True and not possible:
        needs = "a model on CUDA, one process, and Adam or AdamW as a class"
        raise ValueError(f'fit: graph=True needs {needs}; leave graph="auto" to use one where possible')
    return possible and (graph is True or (graph == "auto" and steps >= GRAPH_STEPS))


def _on_device(data: Tensor | Sequence[Tensor], device: torch.device) -> list[Tensor]:
    tensors = [data] if isinstance(data, Tensor) else list(data)
    if not tensors or not all(isinstance(x, Tensor) and x.ndim for x in tensors):
        kinds = ", ".join(type(x).__name__ for x in tensors) or "nothing"
        raise TypeError(f"fit: expected data as one tensor (N, ...) or a tuple of them, got {kinds}")
    lengths = [len(x) for x in tensors]
    if len(set(lengths)) > 1 or lengths[0] == 0:
        raise ValueError(f"fit: expected data of one length, at least 1, got lengths {lengths}")
    return [x.to(device) for x in tensors]


def _finite_mean(state: TrainingState, weights: list[nn.Parameter], window: int) -> float:
    """Mean of the last `window` losses; an error when one of them, or a weight, is not finite."""
    losses = state.losses[: state.done]
    recent = losses[-window:].mean()
    sound = torch.stack([recent.isfinite(), *(w.isfinite().all() for w in weights)]).all()
    if sound.item():
        return recent.item()
    wild = (~losses.isfinite()).nonzero().flatten().tolist()
    total, remedy = len(state.losses), "lower lr, or look for a log, root or quotient of 0 or an exp of much"
    if wild:
        value, step = losses[wild[0]].item(), wild[0] + 1
        raise FloatingPointError(f"the loss became {value} at step {step} of {total}; {remedy}")
    raise FloatingPointError(f"a weight became nan or inf before step {state.done + 1} of {total}; {remedy}")


def _autocast(amp: bool | str, model: nn.Module, device: torch.device) -> AbstractContextManager:
    if amp not in (True, False, "auto"):
        raise ValueError(f'fit: amp={amp!r}; expected True, False or "auto"')
    if amp == "auto":
        large = sum(p.numel() for p in model.parameters()) >= AMP_PARAMETERS
        amp = large and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16) if amp else nullcontext()
