"""A chain of steps against closed forms."""

import pytest
import torch
from torch import nn

from course_lib import chain


def test_an_affine_recursion_has_its_closed_form():
    """x <- x + t over t = T..1 adds T (T + 1) / 2; x <- t x multiplies to T!."""
    x = torch.randn(4, 3, dtype=torch.float64)
    end, _ = chain(lambda x, t: x + t[:, None], x, range(100, 0, -1))
    assert torch.allclose(end, x + 5050)
    end, _ = chain(lambda x, t: x * t[:, None], x, torch.arange(1, 11))
    assert torch.allclose(end, x * 3628800)


def test_the_order_of_times_and_what_a_step_is_given():
    seen = []

    def step(x, t):
        seen.append(t)
        return x

    chain(step, torch.zeros(5, 2), [7, 3, 1])
    assert [t.tolist() for t in seen] == [[7] * 5, [3] * 5, [1] * 5]
    assert all(t.dtype == torch.long for t in seen)
    seen.clear()
    chain(step, torch.zeros(2, 2), [0.5, 0.25])
    assert [t.tolist() for t in seen] == [[0.5, 0.5], [0.25, 0.25]]


def test_pairs_of_times():
    pairs = torch.tensor([[10, 6], [6, 2], [2, 0]])
    end, _ = chain(lambda x, t, s: x + (t - s)[:, None] ** 2, torch.zeros(3, 1), pairs)
    assert torch.equal(end, torch.full((3, 1), 36.0))


def test_kept_frames_stand_in_the_order_asked_for_and_own_their_memory():
    x = torch.zeros(2, 3)
    end, frames = chain(lambda x, t: x.add_(1), x, range(10), keep=[10, 0, 4, 4])
    assert frames[:, 0, 0].tolist() == [10, 0, 4, 4] and frames.shape == (4, 2, 3)
    assert end[0, 0] == 10
    assert chain(lambda x, t: x, x, [1])[1].shape == (0, 2, 3)


def test_the_start_is_left_as_it_is_unless_the_step_itself_changes_it():
    x = torch.zeros(2, 3)
    chain(lambda x, t: x.add_(1), x, range(5))
    assert torch.equal(x, torch.zeros(2, 3))
    steps = []
    chain(lambda x, t: steps.append(x) or x + 1, x, range(3))
    assert [s[0, 0].item() for s in steps] == [0, 1, 2]  # what a step kept is not written over


def test_no_gradients_and_eval_mode_for_the_time_of_the_chain():
    model, modes = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), []

    def step(x, t):
        modes.append((model.training, torch.is_grad_enabled()))
        return model(x)

    x = torch.ones(3, 2, requires_grad=True)
    end, _ = chain(step, x, range(3), model=model)
    assert modes == [(False, False)] * 3 and model.training and not end.requires_grad

    model[1].eval()
    chain(step, x, range(3), model=model)
    assert model.training and not model[1].training  # every part as it was

    class Half(nn.Module):
        def forward(self, x, t):
            assert not self.training
            return x / 2

    half = Half()
    assert torch.equal(chain(half, torch.ones(1, 1), range(4))[0], torch.tensor([[1 / 16]]))
    assert half.training
    with pytest.raises(RuntimeError, match="mid-way"):
        chain(lambda x, t: (_ for _ in ()).throw(RuntimeError("mid-way")), x, range(3), model=model)
    assert model.training and not model[1].training


def test_noise_drawn_in_a_step_is_pytorchs():
    x = torch.zeros(3, 2)
    torch.manual_seed(4)
    end, _ = chain(lambda x, t: x + torch.randn_like(x), x, range(6))
    torch.manual_seed(4)
    assert torch.allclose(end, torch.stack([torch.randn(3, 2) for _ in range(6)]).sum(0), atol=1e-6)


def test_the_dtype_of_x_is_kept():
    table = torch.linspace(0, 1, 5, dtype=torch.float64)
    end, _ = chain(lambda x, t: x * table[t][:, None], torch.ones(2, 1), [4, 3])
    assert end.dtype == torch.float32 and end[0, 0] == 0.75


@pytest.mark.parametrize(
    "step, times, keep, message",
    [
        (lambda x, t: x[:1], [1], (), r"step made \(1, 2\) of \(3, 2\)"),
        (lambda x, t: x, torch.zeros(2, 2, 2), (), r"times has shape \(2, 2, 2\); expected \(S,\)"),
        (lambda x, t: x, [1, 2], (3,), r"keep=\[3\]; expected numbers of steps from 0 to 2"),
    ],
)
def test_errors_say_what_was_expected_in_one_line(step, times, keep, message):
    with pytest.raises(ValueError, match=message) as caught:
        chain(step, torch.zeros(3, 2), times, keep=keep)
    assert "\n" not in str(caught.value)


@pytest.mark.cuda
def test_on_cuda_the_recorded_chain_is_the_plain_one():
    model = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 2)).cuda()

    def step(x, t):
        return x + 0.01 * model(x) * t[:, None] + 0.1 * torch.randn_like(x)

    x = torch.randn(64, 2, device="cuda")
    results = []
    for graph in (False, True):
        torch.manual_seed(0)
        results.append(chain(step, x, range(200, 0, -1), keep=[3, 4, 5, 100], graph=graph, model=model))
    for plain, recorded in zip(*results, strict=True):
        assert torch.allclose(plain, recorded, atol=1e-4)
