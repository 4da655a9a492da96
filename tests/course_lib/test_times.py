"""Stratified times: uniform one by one, exactly, and better together."""

import pytest
import torch

from course_lib import stratified_times


@pytest.mark.parametrize("B, T", [(1, 5), (4, 10), (6, 4), (7, 7), (3, 1), (5, 12)])
def test_each_time_is_exactly_uniform(monkeypatch, B, T):
    """The B T values of the one random number are equally likely, and give every t_i every time equally often."""
    drawn = []
    for offset in range(B * T):

        def randint(high, size, *, offset=offset, **options):
            assert high == B * T and size == (1,)
            return torch.tensor([offset])

        monkeypatch.setattr(torch, "randint", randint)
        drawn.append(stratified_times(B, T))
    table = torch.stack(drawn)  # (B T, B)
    assert table.dtype == torch.long and table.shape == (B * T, B)
    for column in table.unbind(1):
        assert torch.equal(column.bincount(minlength=T + 1), torch.tensor([0] + [B] * T))


@pytest.mark.parametrize("B, T", [(8, 100), (100, 8), (50, 50)])
def test_together_they_cover_all_times_evenly(B, T):
    """Of T/m neighbouring times the batch holds B/m, up to one at either end."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        t = stratified_times(B, T, generator=generator)
        assert t.min() >= 1 and t.max() <= T
        below = (t[:, None] <= torch.arange(1, T + 1)).sum(0)
        assert (below - B * torch.arange(1, T + 1) / T).abs().max() <= 1


def test_the_mean_of_a_loss_is_the_same_and_its_variance_smaller():
    B, T, runs = 16, 1000, 4000
    floor = 1 / (1 + torch.linspace(1e-4, 0.02, T).cumsum(0))  # falls with t, as a denoising loss does
    generator = torch.Generator().manual_seed(0)
    even = torch.stack([floor[stratified_times(B, T, generator=generator) - 1].mean() for _ in range(runs)])
    free = floor[torch.randint(T, (runs, B), generator=generator)].mean(1)
    for estimate in (even, free):
        assert abs(estimate.mean() - floor.mean()) < 4 * estimate.std() / runs**0.5
    # Independent times have Var f / B; one random number shared by all leaves of the order of (range f / B)^2 / 12.
    assert free.var().item() == pytest.approx(floor.var().item() / B, rel=0.1)
    assert even.var() < 1.2 * ((floor.max() - floor.min()) / B) ** 2 / 12 < free.var() / 15


def test_repeatable_and_on_the_device():
    first = stratified_times(9, 20, device="cpu", generator=torch.Generator().manual_seed(3))
    again = stratified_times(9, 20, device="cpu", generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, again) and first.device.type == "cpu"
    with pytest.raises(ValueError, match="batch_size=0, T=5; expected both at least 1"):
        stratified_times(0, 5)
