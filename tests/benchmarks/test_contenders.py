"""The benchmark is fair: everybody trains the same network on the same data with the same loss, and is judged alike."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.training import loops, peers, quality, results
from benchmarks.training.diffusion import LEVELS, Diffusion, Plan, held_out_loss
from benchmarks.training.limit import Step
from benchmarks.training.network import new_network
from benchmarks.training.samplers import Chain, diffusers_ddim, diffusers_ddpm
from course_lib import data

CPU = torch.device("cpu")
STEPS, BATCH, CHANNELS, TIME = 3, 128, 8, 38
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


@pytest.fixture(scope="module")
def schedule():
    return Diffusion.linear(200, 5e-4, 0.1, CPU, torch.float64)


@pytest.fixture(scope="module")
def images():
    """One batch, so that all contenders have the same one at every step, if in different orders."""
    return data.digits("train", flat=False, range=(-1, 1), device="cpu")[:BATCH].double()


def same_for_all_images(monkeypatch):
    """From here on every image gets the same t and the same noise: the loss does not depend on the batch's order."""
    eps = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def fixed_t(*arguments, **keywords):
        size = next(x for x in arguments if isinstance(x, tuple))
        return torch.full(size, TIME)

    monkeypatch.setattr(torch, "randint", fixed_t)
    monkeypatch.setattr(torch, "randn_like", lambda x, **keywords: eps.to(x.dtype).expand_as(x))
    monkeypatch.setattr(torch, "randn", lambda size, **keywords: eps.expand(size))
    return eps


def trained(loop, images, plan):
    network = new_network(0, CPU, CHANNELS).double()
    loop(network, images, plan, 0)
    return network


def by_the_equations(images, plan, eps, copied):
    """AdamW, the cosine and the average written out (Loshchilov and Hutter, 2019, algorithm 2).

    `copied`: the average starts as a copy of the weights after the first step.
    """
    network = new_network(0, CPU, CHANNELS).double()
    weights = list(network.parameters())
    average = [w.detach().clone() for w in weights]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    for step in range(plan.steps):
        t = torch.full((BATCH,), TIME)
        alpha_bar = math.prod(1 - (5e-4 + (0.1 - 5e-4) * s / 199) for s in range(TIME + 1))
        noised = math.sqrt(alpha_bar) * images + math.sqrt(1 - alpha_bar) * eps
        gradients = torch.autograd.grad(((network(noised, t) - eps) ** 2).mean(), weights)
        lr = plan.lr * math.cos(math.pi * step / plan.steps / 2) ** 2
        decay = 0 if copied and step == 0 else min(plan.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for w, g, m, v, mean in zip(weights, gradients, first, second, average, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                w.mul_(1 - lr * 0.01)
                w.sub_(lr * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8))
                mean.mul_(decay).add_((1 - decay) * w)
    return average


# The libraries round their tables to single precision. A learning rate, a weight decay or a t that is wrong changes
# the weights by 1e-4 and more.
@pytest.mark.parametrize(
    ("name", "ema", "tolerance"),
    [
        ("ours", 0.995, 1e-9),
        ("plain", 0.995, 1e-9),
        ("tutorial", 0.995, 1e-9),
        ("lightning", 0.995, 1e-9),
        ("diffusers", 0.995, 1e-5),
        ("lucidrains", 0.0, 1e-5),
    ],
)
def test_everybody_takes_the_same_steps(monkeypatch, name, ema, tolerance, images, schedule):
    running, missing = peers.available()
    if name in missing:
        pytest.skip(missing[name])
    monkeypatch.setattr(peers, "LUCIDRAINS_EMA_EVERY", 1)
    plan = Plan(schedule, STEPS, BATCH, ema=ema)
    eps = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = by_the_equations(images, plan, eps, copied=name in peers.NEEDS)
    torch.testing.assert_close(same_for_all_images(monkeypatch), eps)
    network = trained(running[name], images, plan)
    assert not network.training
    for got, expected in zip(network.parameters(), truth, strict=True):
        torch.testing.assert_close(got.detach(), expected, rtol=0, atol=tolerance)


def test_the_averages_of_the_libraries_are_the_same_later_on(images, schedule):
    """decay = min(ema, (1 + step) / (10 + step)), but for the first step, which some libraries copy."""
    training_utils = pytest.importorskip("diffusers.training_utils")
    model = training_utils.EMAModel([torch.nn.Parameter(torch.zeros(1))], decay=0.995)
    plan = Plan(schedule, STEPS)
    for step in (1, 2, 50, 5000):
        assert model.get_decay(step + 1) == pytest.approx(loops.decay(plan, step))


def test_every_loop_sees_every_image_once_per_epoch(images, schedule):
    seen = []
    for x0 in loops.forever(loops.loader(images, 16)):
        seen += x0.flatten(1).tolist()
        if len(seen) == 2 * len(images):
            break
    assert seen[: len(images)] != seen[len(images) :]
    assert sorted(seen[: len(images)]) == sorted(seen[len(images) :]) == sorted(images.flatten(1).tolist())


def test_the_folder_of_images_is_exact(tmp_path, images):
    image = pytest.importorskip("PIL.Image")
    peers._write_images(images, tmp_path / "images")
    files = sorted((tmp_path / "images").iterdir())
    assert len(files) == len(images)
    read = torch.stack([torch.tensor(np.array(image.open(file))) for file in files])
    torch.testing.assert_close(2 * read.double() - 1, images[:, 0], rtol=0, atol=0)


def test_held_out_loss_of_the_best_possible_predictor():
    """For images N(0, lam I) that is sqrt(1 - a) x_t / D, D = a lam + 1 - a, with the mean of a lam / D as its loss."""
    lam, diffusion = 0.5, Diffusion.linear(200, 5e-4, 0.1, CPU, torch.float64)
    images = math.sqrt(lam) * torch.randn(2000, 1, 2, 2, dtype=torch.float64)
    a = diffusion.signal**2
    below = a * lam + 1 - a

    def best(x, t):
        return ((1 - a[t]).sqrt() / below[t])[:, None, None, None] * x

    floor = (a * lam / below).mean().item()
    error = math.sqrt(2 / (LEVELS * images.numel())) * floor
    assert held_out_loss(best, diffusion, images) == pytest.approx(floor, abs=6 * error)
    assert held_out_loss(lambda x, t: 0 * x, diffusion, images) == pytest.approx(1, abs=0.05)


def test_held_out_loss_is_the_same_twice_and_all_times_weigh_alike(images, schedule):
    asked = []

    def model(x, t):
        asked.append(t)
        return 0 * x

    assert held_out_loss(model, schedule, images) == held_out_loss(model, schedule, images)
    first = torch.stack(asked[:LEVELS])
    part = schedule.steps // LEVELS
    assert ((first // part) == torch.arange(LEVELS)[:, None]).all()
    assert first.min() >= 0 and first.max() < schedule.steps


@pytest.mark.parametrize("kind", ["ddpm", "ddim"])
@pytest.mark.parametrize("way", ["ours", "plain"])
def test_the_chain_is_diffusers_sampler(kind, way):
    pytest.importorskip("diffusers")
    diffusion = Diffusion.linear(1000, 1e-4, 0.02, CPU, torch.float64)
    x = torch.randn(4, 1, 2, 2, dtype=torch.float64)

    def model(x, t):
        return torch.tanh(x) * (1 + t[:, None, None, None] / 1000)

    chain = Chain.ddpm(diffusion) if kind == "ddpm" else Chain.ddim(diffusion, 50)
    peer = diffusers_ddpm if kind == "ddpm" else partial(diffusers_ddim, steps=50)
    torch.manual_seed(0)
    got = chain.plain(model, x) if way == "plain" else chain.ours(model, x)(x)
    torch.manual_seed(0)
    torch.testing.assert_close(got, peer(model, diffusion, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "deviation"), [("ddpm", 0.496110), ("ddim", 0.472439)])
def test_the_chains_law_on_a_gaussian(kind, deviation):
    """With the best predictor for N(0, 0.25), c_t x_t, every step is linear: samples are N(0, v), and v comes from the
    coefficients alone. 1000 DDPM steps end near the data's 0.5, 50 DDIM steps below it.
    """
    lam, diffusion = 0.25, Diffusion.linear(1000, 1e-4, 0.02, CPU, torch.float64)
    a = diffusion.signal**2
    best = ((1 - a).sqrt() / (a * lam + 1 - a)).tolist()
    chain = Chain.ddpm(diffusion) if kind == "ddpm" else Chain.ddim(diffusion, 50)
    variance = 1.0
    for t, keep, gain, spread in zip(chain.times, chain.keep, chain.gain, chain.spread, strict=True):
        variance = (keep + gain * best[t]) ** 2 * variance + spread**2
    assert math.sqrt(variance) == pytest.approx(deviation, abs=5e-7)


@pytest.mark.parametrize("way", ["ours", "plain"])
def test_a_chain_walks_by_its_coefficients(way):
    """Without noise a walk with a linear predictor multiplies by a number; that number, from the coefficients."""
    diffusion = Diffusion.linear(1000, 1e-4, 0.02, CPU, torch.float64)
    chain = Chain.ddim(diffusion, 50)
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factor = math.prod(keep + gain * t / 999 for t, keep, gain in zip(chain.times, chain.keep, chain.gain, strict=True))

    def linear(x, t):
        return (t.double() / 999)[:, None, None, None] * x

    got = chain.plain(linear, x) if way == "plain" else chain.ours(linear, x)(x)
    torch.testing.assert_close(got, factor * x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("steps", [0, 3, 501, 1001])
def test_ddim_refuses_steps_that_do_not_divide_the_times(steps):
    diffusion = Diffusion.linear(1000, 1e-4, 0.02, CPU, torch.float64)
    with pytest.raises(ValueError, match=rf"steps={steps}: expected a divisor of T = 1000"):
        Chain.ddim(diffusion, steps)


def test_the_bare_step_computes_what_a_step_computes(images, schedule):
    network = new_network(0, CPU, CHANNELS).double()
    step = Step(network, images, Plan(schedule, 1, BATCH))
    expected = torch.nn.functional.mse_loss(network(step.xt, step.t), step.eps)
    torch.testing.assert_close(step.forward(), expected)
    before = [w.detach().clone() for w in network.parameters()]
    step()
    assert any(not torch.equal(w, old) for w, old in zip(network.parameters(), before, strict=True))


def test_seconds_to_a_loss():
    runs = [
        {"steps": 400, "wall": 16.0, "held_out": 0.1},
        {"steps": 100, "wall": 4.0, "held_out": 0.3},
        {"steps": 200, "wall": 8.0, "held_out": 0.2},
    ]
    assert quality.seconds_to(0.3, runs) == 4.0
    assert quality.seconds_to(0.15, runs) == pytest.approx(8 * math.sqrt(2))
    assert quality.seconds_to(0.1, runs) == pytest.approx(16)
    assert quality.seconds_to(0.09, runs) is None


def test_a_part_is_continued_only_under_the_same_settings(tmp_path):
    path = tmp_path / "training.json"
    part = results.Part.open(path, "speed", {"settings": {"steps": (1, 2)}})
    part.data["rounds"] = [1]
    part.save()
    results.Part.open(path, "quality", {"settings": {}}).save()
    assert results.Part.open(path, "speed", {"settings": {"steps": (1, 2)}}).data == {"rounds": [1]}
    assert results.Part.open(path, "speed", {"settings": {"steps": (1, 3)}}).data == {}
    assert results.Part.open(path, "speed", {"settings": {"steps": (1, 2)}}, again=True).data == {}
    assert set(results.read(path)) == {"speed", "quality"}
