"""The given samplers of 03-autoregressive draw what the plain one draws, with less arithmetic: counted, never timed."""

import pytest
import torch
from lesson_answers import solution
from torch.utils.flop_counter import FlopCounterMode

LESSON, SIDE, LEVELS = "03-autoregressive", 8, 5


@pytest.fixture
def names():
    torch.manual_seed(0)
    return solution(LESSON)


def uniform(count):
    return torch.rand(count, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def counted(sample, *given):
    """What it draws, and how many multiplications and additions that took."""
    with FlopCounterMode(display=False) as counter:
        drawn = sample(*given)
    return drawn, counter.get_total_flops()


@pytest.mark.parametrize("network", ["TwoStacks", "PixelCNN"])
def test_a_pixel_network_computes_what_changes(names, network):
    model, u = names[network](LEVELS, SIDE, SIDE, channels=6).eval(), uniform(3)
    everything, whole = counted(names["ancestral_sample"], model, u)
    changes, part = counted(names["draw"], model, u)
    assert torch.equal(changes, everything)
    assert part < whole / 2
    begun = names["draw"](model, u, given=everything.flatten(1)[:, :11])
    assert torch.equal(begun, everything)


def test_the_transformer_reads_each_token_once(names):
    torch.manual_seed(0)
    model, u = names["Transformer"](LEVELS + 1, LEVELS, SIDE * SIDE, width=16).eval(), uniform(2).flatten(1)
    read = []
    model.embed.register_forward_hook(lambda module, given, answer: read.append(given[0].shape[1]))
    drawn = names["write"](model, u, start=LEVELS)
    assert sum(read) == SIDE * SIDE
    again = torch.full((2, 1), LEVELS)  # without a cache, the whole beginning each time
    for n in range(SIDE * SIDE):
        with torch.no_grad():
            logits = model.logits(again)[:, -1]
        again = torch.cat([again, names["sample_categorical"](logits, u[:, n])[:, None]], 1)
    assert torch.equal(drawn, again[:, 1:])
