"""Channels last while training: the same result, and the weights lie afterwards as before."""

import copy

import pytest
import torch
from torch import nn

from course_lib import fit
from course_lib.training.layout import best_layout, convolves, untouched

IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))


def error(model, x):
    return ((model(x) - x) ** 2).mean()


def layouts(model):
    return [p.is_contiguous() for p in model.parameters() if p.ndim == 4]


def test_the_result_is_the_same_and_the_weights_lie_as_before():
    nets = {wish: small_net().double() for wish in (True, False, "auto")}
    seen = {}
    for wish, net in nets.items():

        def loss(model, x, wish=wish):
            seen.setdefault(wish, layouts(model))
            return error(model, x)

        fit(net, loss, IMAGES.double(), steps=20, batch_size=16, ema=0.9, channels_last=wish, progress=False)
        assert layouts(net) == [True, True]
    assert seen == {True: [False, False], False: [True, True], "auto": [True, True]}  # on a CPU it gains nothing
    for a, b in zip(nets[True].parameters(), nets[False].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-10)


def test_a_network_that_needs_its_order_keeps_it():
    class Viewing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(256, 192)

        def forward(self, x):
            return self.linear(self.conv(x).view(len(x), -1)).view(x.shape)

    model = Viewing()
    with best_layout(model, error, [IMAGES], True):
        assert layouts(model) == [True]
    fit(model, error, IMAGES, steps=3, channels_last=True, progress=False)


@pytest.mark.parametrize(
    "model, points, expected",
    [(small_net(), IMAGES, True), (nn.Linear(8, 8), IMAGES, False), (small_net(), IMAGES[0], False)],
)
def test_it_is_for_convolutions_on_images(model, points, expected):
    assert convolves(model, [points]) is expected


@pytest.mark.cuda
def test_auto_on_cuda():
    model = small_net().cuda()
    with best_layout(model, error, [IMAGES.cuda()], "auto"):
        assert layouts(model) == [False, False]
    assert layouts(model) == [True, True]


def test_what_the_user_chose_stays():
    model = small_net().to(memory_format=torch.channels_last)
    fit(model, error, IMAGES, steps=2, channels_last=True, progress=False)
    assert layouts(model) == [False, False]
    other = small_net()
    optimizer = torch.optim.Adam(other.parameters(), fused=True)
    for _ in range(2):  # what it remembers must lie as the weights do
        fit(other, error, IMAGES, steps=2, optimizer=optimizer, channels_last=True, progress=False)
    assert layouts(other) == [True, True]


def test_a_trial_leaves_no_trace():
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    with untouched(model, torch.device("cpu")):
        model(torch.randn_like(IMAGES))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def test_an_unknown_wish():
    with pytest.raises(ValueError, match="channels_last='yes'; expected True, False or \"auto\""):
        fit(small_net(), error, IMAGES, steps=2, channels_last="yes", progress=False)
