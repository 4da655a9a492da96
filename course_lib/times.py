"""Times t of a batch, drawn so that they cover 1..T evenly."""

import torch
from torch import Tensor

from course_lib.device import get_device


def stratified_times(
    batch_size: int, T: int, *, device: torch.device | str | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """LongTensor (B,) of times in 1..T, each uniform on its own, together spread evenly: one random number for all.

        t_i = 1 + floor(T frac(u + i / B)),   u uniform on {0, 1, ..., B T - 1} / (B T),   i = 0..B-1.

    Any average over the batch, (1/B) sum_i f(t_i), has the same mean as with independent times, because every
    t_i is uniform, and a smaller variance when f varies smoothly with t, as a denoising loss does: no part of
    1..T is missed. After Kingma et al., Variational Diffusion Models (2021), appendix on the low-discrepancy
    sampler, here in integers, so that the uniformity is exact.

    Args:
        batch_size: B. With B = T every time occurs exactly once.
        T: the largest time.
        device: where the times are needed; default `get_device()`.
        generator: of that device, for repeatable times; default PyTorch's own.

    Raises:
        ValueError: B or T is less than 1.
    """
    if batch_size < 1 or T < 1:
        raise ValueError(f"stratified_times: batch_size={batch_size}, T={T}; expected both at least 1")
    device = get_device() if device is None else device
    offset = torch.randint(batch_size * T, (1,), device=device, generator=generator)  # u B T
    evenly = torch.arange(batch_size, device=device) * T  # (i / B) B T
    return 1 + (offset + evenly) % (batch_size * T) // batch_size
