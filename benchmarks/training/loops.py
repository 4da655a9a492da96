"""Training loops that need nothing but PyTorch: the course's, and two written by hand.

Every loop of this benchmark is a function (network, images, plan, seed) that takes `plan.steps` updates and leaves the
moving average of the weights in the network. The images, (N, 1, 8, 8), are a whole number of batches.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.training.diffusion import Plan
from course_lib import fit

Loop = Callable[[nn.Module, Tensor, Plan, int], None]


def ours(network: nn.Module, images: Tensor, plan: Plan, seed: int) -> None:
    """The course's `fit`, with nothing but the plan."""
    fit(
        network,
        plan.diffusion.loss,
        images,
        steps=plan.steps,
        batch_size=plan.batch_size,
        lr=plan.lr,
        schedule="cosine",
        optimizer=AdamW,
        ema=plan.ema,
        seed=seed,
        progress=False,
    )


def plain(network: nn.Module, images: Tensor, plan: Plan, seed: int) -> None:
    """What an experienced person writes: data on the device, shuffled there, no `.item()` in the loop."""
    torch.manual_seed(seed)
    weights: list[Tensor] = list(network.parameters())
    average = [w.detach().clone() for w in weights]
    optimizer = AdamW(weights, lr=plan.lr, fused=True if images.is_cuda else None)
    scheduler = cosine(optimizer, plan.steps)
    losses = []

    def batches() -> Iterator[Tensor]:
        while True:
            yield from torch.randperm(len(images), device=images.device).split(plan.batch_size)

    network.train()
    for step, rows in enumerate(islice(batches(), plan.steps)):
        loss = plan.diffusion.loss(network, images[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - decay(plan, step))
        losses.append(loss.detach())
    put(average, network)


def tutorial(network: nn.Module, images: Tensor, plan: Plan, seed: int) -> None:
    """What tutorials show: a DataLoader, the average weight by weight, and the loss read at every step."""
    torch.manual_seed(seed)
    weights = list(network.parameters())
    average = [w.detach().clone() for w in weights]
    optimizer = AdamW(weights, lr=plan.lr)
    scheduler = cosine(optimizer, plan.steps)
    losses = []
    network.train()
    for step, x0 in enumerate(islice(forever(loader(images, plan.batch_size)), plan.steps)):
        loss = plan.diffusion.loss(network, x0.to(images.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            for mean, weight in zip(average, weights, strict=True):
                mean.mul_(decay(plan, step)).add_(weight, alpha=1 - decay(plan, step))
        losses.append(loss.item())
    put(average, network)


def cosine(optimizer: Optimizer, steps: int) -> LambdaLR:
    """The learning rate falls to 0 along a cosine, as with `fit(schedule="cosine")`."""
    return LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)


def decay(plan: Plan, step: int) -> float:
    """Of the moving average at this step, counted from 0."""
    return min(plan.ema, (1 + step) / (10 + step))


def loader(images: Tensor, batch_size: int) -> DataLoader:
    """The images as a DataLoader gives them: from the CPU's memory, example by example."""
    data = TensorDataset(images.cpu())
    return DataLoader(data, batch_size, shuffle=True, drop_last=True, pin_memory=images.is_cuda)


def forever(batches: DataLoader) -> Iterator[Tensor]:
    """Epoch after epoch."""
    while True:
        for (x0,) in batches:
            yield x0


def put(average: list[Tensor], network: nn.Module) -> None:
    """Leave the averaged weights in the network."""
    for weight, mean in zip(network.parameters(), average, strict=True):
        weight.data.copy_(mean)
    network.eval()
