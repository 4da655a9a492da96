"""The training loop of the whole course, and how long it may take."""

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from course_lib.checkpoint import TrainingState
from course_lib.device import private_randomness

SHORT_BUDGET = 20
AMP_PARAMETERS = 2_000_000  # a smaller model waits for kernel launches, and autocast only adds more of them


def budget(steps: int) -> int:
    """How many training steps to take: all for a student, at most 20 where nobody waits for the result.

    Short while nbgrader grades or validates (NBGRADER_EXECUTION is set) and with COURSE_BUDGET=short;
    COURSE_BUDGET=full forces the full number.
    """
    return min(steps, SHORT_BUDGET) if _in_short() else steps


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What a training run leaves behind.

    Attributes:
        losses: float32 (steps,) on the CPU, the loss of every batch before its update.
        seconds: wall time of this call (after a resume, of the steps it took itself).
        label: what the loss is called, with its unit, for the figure.
        resumed_at: steps that a checkpoint had already taken.
    """

    losses: Tensor
    seconds: float
    label: str = "loss"
    resumed_at: int = 0

    @property
    def steps(self) -> Tensor:
        """1..steps, LongTensor."""
        return torch.arange(1, len(self.losses) + 1)

    @property
    def final(self) -> float:
        """Mean loss over the last tenth of the run: one batch alone would be noise."""
        return self.losses[-max(1, len(self.losses) // 10) :].mean().item()

    def smoothed(self, window: int | None = None) -> Tensor:
        """Mean over the last `window` steps (default: a fiftieth of the run), fewer at the start."""
        window = window or max(1, len(self.losses) // 50)
        total = torch.cat([torch.zeros(1, dtype=torch.float64), self.losses.double().cumsum(0)])
        last = self.steps
        first = (last - window).clamp(min=0)
        return ((total[last] - total[first]) / (last - first)).float()

    def __repr__(self) -> str:
        return f"History({len(self.losses)} steps, {self.label} {self.final:.4g} at the end)"


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
            one is used as it is, with its own learning rate in place of `lr`.
        ema: decay of a moving average of the weights, e.g. 0.995; the model ends with that average.
        seed: of the data's order and the noise in `loss`. Outside, chance goes on as if `fit` had not been.
        amp: arithmetic in bfloat16. "auto" uses it on CUDA, for models large enough to gain from it.
        compile: pass `loss` through torch.compile: the first step takes long, the others less.
        checkpoint: file to write every `checkpoint_every` steps (default: ten times a run) and at the end.
            When it exists, training goes on from there, on the CPU bit for bit as if it had never stopped.
            Not used where `budget` is short: a short run must neither find nor leave anything.
        progress: show a progress bar; it is off while grading and with COURSE_PROGRESS=off.
        label: name and unit of the loss, for the bar and the figure.

    Raises:
        ValueError, TypeError: an argument does not fit; the message says what to change.
        FloatingPointError: the loss or a weight is no longer finite; the message names the step. A checkpoint
            on disk is from before.
    """
    device = next(model.parameters()).device
    tensors = _on_device(data, device)
    size = min(batch_size, len(tensors[0]))
    batches = len(tensors[0]) // size  # per epoch
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = _optimizer(optimizer, weights, lr, device)
    state = TrainingState(
        model,
        optimizer,
        scheduler=_scheduler(schedule, optimizer, steps),
        losses=torch.full((steps,), math.nan, device=device),
        order=torch.arange(len(tensors[0]), device=device),
        average=_start_average(weights, ema),
        settings={
            "steps": steps,
            "examples": len(tensors[0]),
            "batch_size": size,
            "lr": lr,
            "schedule": schedule,
            "ema": ema,
            "seed": seed,
        },
    )
    autocast = _autocast(amp, model, device)
    batch_loss = torch.compile(loss) if compile else loss
    checkpoint = None if checkpoint is None or _in_short() else Path(checkpoint)
    save_every = checkpoint_every or max(1, steps // 10)
    look_every = max(1, min(steps // 20, 200))

    started = time.perf_counter()
    with private_randomness(seed, device), _bar(progress, steps, label) as bar:
        if checkpoint and checkpoint.exists():
            state.load(checkpoint)
            print(f"going on from step {state.done} of {steps} in {checkpoint}")
        resumed_at = state.done
        model.train()
        for step in range(resumed_at, steps):
            place = step % batches
            if place == 0:
                state.order = torch.randperm(len(tensors[0]), device=device)
            rows = state.order[place * size : (place + 1) * size]
            with autocast:
                value = _minimisable(batch_loss(model, *(x[rows] for x in tensors)))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            state.scheduler.step()
            state.losses[step] = value.detach()  # kept on the device: .item() waits for the GPU at every step
            if ema is not None:
                _update_average(state.average, weights, ema, step)

            state.done = done = step + 1
            saving = done % save_every == 0 or done == steps
            if saving or done % look_every == 0:
                # The one place that waits for the device, some twenty times a run: a run that has gone astray
                # must stop before it is saved, and the bar must move.
                recent = _finite_mean(state, weights, look_every)
                bar.set_postfix_str(f"{label} {recent:.4g}", refresh=False)
                bar.update(done - bar.n)
            if saving and checkpoint:
                state.save(checkpoint)
    for weight, average in zip(weights, state.average, strict=False):
        weight.data.copy_(average)
    model.eval()
    return History(state.losses.cpu(), time.perf_counter() - started, label, resumed_at)


def _in_short() -> bool:
    wish = os.environ.get("COURSE_BUDGET", "")
    if wish not in ("", "short", "full"):
        raise ValueError(f'COURSE_BUDGET={wish!r}; expected "short", "full" or nothing')
    return wish == "short" or (wish == "" and bool(os.environ.get("NBGRADER_EXECUTION")))


def _on_device(data: Tensor | Sequence[Tensor], device: torch.device) -> list[Tensor]:
    tensors = [data] if isinstance(data, Tensor) else list(data)
    if not tensors or not all(isinstance(x, Tensor) and x.ndim for x in tensors):
        kinds = ", ".join(type(x).__name__ for x in tensors) or "nothing"
        raise TypeError(f"fit: expected data as one tensor (N, ...) or a tuple of them, got {kinds}")
    lengths = [len(x) for x in tensors]
    if len(set(lengths)) > 1 or lengths[0] == 0:
        raise ValueError(f"fit: expected data of one length, at least 1, got lengths {lengths}")
    return [x.to(device) for x in tensors]


def _optimizer(
    wish: Callable[..., Optimizer] | Optimizer | None,
    weights: list[nn.Parameter],
    lr: float,
    device: torch.device,
) -> Optimizer:
    if isinstance(wish, Optimizer):
        return wish
    kind = Adam if wish is None else wish
    if device.type == "cuda" and kind in (Adam, AdamW):
        return kind(weights, lr=lr, fused=True)  # one kernel for all weights
    return kind(weights, lr=lr)


def _onecycle(u: float) -> float:
    """From 1/25 up to 1 in the first 30%, then down to 0, both along a cosine (Smith and Topin, 2018)."""
    if u < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * u / 0.3)) / 2
    return (1 + math.cos(math.pi * (u - 0.3) / 0.7)) / 2


# Factor on the learning rate when a share u of the run, 0 to 1, is done.
_FACTOR: dict[str, Callable[[float], float]] = {
    "onecycle": _onecycle,
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
    "constant": lambda u: 1.0,
}


def _scheduler(schedule: str, optimizer: Optimizer, steps: int) -> LambdaLR:
    if steps < 1:
        raise ValueError(f"fit: steps={steps}; expected at least 1")
    if schedule not in _FACTOR:
        raise ValueError(f"fit: schedule={schedule!r}; expected one of {', '.join(map(repr, _FACTOR))}")
    factor = _FACTOR[schedule]
    return LambdaLR(optimizer, lambda step: factor(step / steps))


def _start_average(weights: list[nn.Parameter], ema: float | None) -> list[Tensor]:
    if ema is None:
        return []
    if not 0 <= ema < 1:
        raise ValueError(f"fit: ema={ema}; expected a decay in [0, 1), such as 0.995")
    return [w.detach().clone() for w in weights]


@torch.no_grad()
def _update_average(average: list[Tensor], weights: list[nn.Parameter], ema: float, step: int) -> None:
    """average <- decay average + (1 - decay) weights, in one call for all of them.

    The decay grows from 0.1 to `ema` as (1 + step) / (10 + step), so that the untrained start is forgotten.
    """
    decay = min(ema, (1 + step) / (10 + step))
    torch._foreach_lerp_(average, [w.data for w in weights], 1 - decay)


def _minimisable(value: Any) -> Tensor:
    """The loss, if it can be minimised. Looks at its shape alone, which the host knows without waiting."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"loss(model, *batch): expected a scalar tensor, got {kind}; is a return missing?")
    if value.ndim:
        shape = tuple(value.shape)
        raise ValueError(f"loss(model, *batch): expected a scalar, got shape {shape}; end it with .mean()")
    if not value.requires_grad:
        remedy = "look for .item(), .detach() or no_grad"
        raise ValueError(f"loss(model, *batch) does not depend on the model's parameters; {remedy}")
    return value


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


def _bar(progress: bool, steps: int, label: str) -> Any:
    """A progress bar, or a mute one where nobody watches."""
    if not progress or os.environ.get("COURSE_PROGRESS") == "off" or os.environ.get("NBGRADER_EXECUTION"):
        from tqdm import tqdm as mute  # the plain one: tqdm.auto would import ipywidgets for nothing

        return mute(total=steps, disable=True)
    from tqdm.auto import tqdm

    return tqdm(total=steps, desc=f"minimising {label}", unit="step", leave=False)
