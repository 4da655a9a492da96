"""Does everything that asks for a device compute there, and does it keep the host from waiting? On a pretended one."""

import pytest
import torch
from forks import elsewhere
from lesson_there import run_lesson
from torch import nn

from autograder.builder.source import find_lessons
from autograder.checkout import course_root
from autograder.sandbox.pretend_gpu import POSSIBLE, WAITS, OnGpu, pretend_gpu
from course_lib import data, fit, networks
from course_lib.chains import chain
from course_lib.times import stratified_times
from course_lib.training import loop

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="this PyTorch knows no devices made in Python")
ON_DEVICE = [
    pytest.param(path, id=path.parent.name)
    for path in find_lessons(course_root(), [])
    if "get_device" in path.read_text(encoding="utf-8")
]


@pytest.fixture
def gpu():
    with pretend_gpu() as device:
        WAITS.clear()
        yield device


@pytest.mark.parametrize(
    "mixed",
    [
        lambda there, here: there + here,
        lambda there, here: here @ there,
        lambda there, here: there.lerp_(here, 0.5),
        lambda there, here: torch.cat([there, here]),
        lambda there, here: nn.Linear(3, 3)(there),
        lambda there, here: torch.where(there > 0, there, here),
        lambda there, here: here[(there > 0).long()],
        lambda there, here: here.index_put_([(there > 0).long()], here),
        lambda there, here: there.index_put_([torch.arange(3)], here),
        lambda there, here: torch.randn(3, device=there.device, generator=torch.Generator()),
        lambda there, here: torch.randn(3, generator=torch.Generator(there.device)),
    ],
)
def test_both_sides_in_one_operation_are_refused(gpu, mixed):
    with pytest.raises(RuntimeError, match="same device"):
        mixed(torch.randn(3, device=gpu), torch.randn(3))


def test_a_generator_of_its_own_serves(gpu):
    generator = torch.Generator(gpu).manual_seed(0)
    assert generator.device == gpu
    drawn = torch.randn(3, device=gpu, generator=generator)
    assert torch.equal(drawn.cpu(), torch.randn(3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: bool((x > 0).all()),
        lambda x: f"{x.mean():.3f}",
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: x.tolist(),
        lambda x: x[torch.tensor([0, 2])],
        lambda x: torch.allclose(x, x + 1),
    ],
)
def test_waits_are_counted(gpu, waiting):
    x = torch.randn(3, device=gpu)
    assert not WAITS
    waiting(x)
    assert WAITS.total() == 1


def test_what_runs_there_gives_the_cpus_numbers(gpu):
    """Autograd, modules and optimisers too; and the results are there."""
    torch.manual_seed(0)
    here, x = networks.mlp([3, 8, 1]), torch.randn(5, 3)
    there = networks.mlp([3, 8, 1]).to(gpu)
    there.load_state_dict(here.state_dict())
    for model, points in ((here, x), (there, x.to(gpu))):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(points).square().mean().backward()
            optimizer.step()
    for a, b in zip(here.parameters(), there.parameters(), strict=True):
        assert isinstance(b.data, OnGpu) and isinstance(b.grad, OnGpu)
        assert torch.allclose(a, b.cpu(), rtol=1e-5)


def noisy_error(model, x):
    t = stratified_times(len(x), 1000, device=x.device) / 1000
    noisy = (1 - t[:, None]) * x + t[:, None] * torch.randn_like(x)
    return (model(noisy) - x).square().mean()


@pytest.mark.parametrize("recording", [False, True], ids=["plain", "as recorded"])
def test_a_run_waits_twenty_times_however_long_it_is(gpu, monkeypatch, recording):
    """As on CUDA, a recorded step looks up its learning rate there; here nothing is recorded, but the step is that."""
    if recording:
        monkeypatch.setattr(loop, "_recording", lambda *_: True)
        monkeypatch.setattr(loop, "recorded", lambda call, evaluate, device: call)
    points = data.two_moons(500, device=gpu)
    waits = []
    for steps in (200, 600):  # every tenth and every thirtieth step it looks
        model = networks.mlp([2, 16, 2]).to(gpu)
        WAITS.clear()
        run = fit(model, noisy_error, points, steps=steps, ema=0.99, progress=False)
        waits.append(WAITS.total())
        assert run.losses.isfinite().all()
    assert waits[0] == waits[1] < 60


def test_a_loss_that_waits_is_seen(gpu):
    points = data.two_moons(500, device=gpu)
    model = networks.mlp([2, 16, 2]).to(gpu)

    def loss(model, x):
        value = noisy_error(model, x)
        return value / value.item()

    fit(model, loss, points, steps=200, progress=False)
    assert WAITS.total() > 200


def test_a_chain_waits_no_more_often_when_it_is_longer(gpu):
    waits = []
    for T in (10, 40):
        WAITS.clear()
        x = torch.randn(8, 2, device=gpu)
        end, _ = chain(lambda x, t: 0.9 * x + 0.1 * torch.randn_like(x), x, range(T, 0, -1), progress=False)
        assert end.device == gpu
        waits.append(WAITS.total())
    assert waits[0] == waits[1] <= 2


@pytest.mark.parametrize("lesson", ON_DEVICE)
def test_a_lesson_runs_there_without_a_change(lesson):
    """Where a short run fails, the whole one decides."""
    assert not elsewhere(run_lesson, str(lesson)) or elsewhere(run_lesson, str(lesson), True) == []


def test_what_is_computed_on_the_wrong_side_is_found_in_runs_chains_pictures_exact_laws_and_loops(tmp_path):
    lesson = tmp_path / "lesson.py"
    lesson.write_text(MISTAKEN)
    assert [line.split(": ")[1] for line in elsewhere(run_lesson, str(lesson))] == [
        *["OtherDevice"] * 3,
        *["NoArray"] * 2,
        *["OtherDevice"] * 2,
    ]


def test_an_experiment_that_needs_every_round_of_a_loop_has_them(tmp_path):
    lesson = tmp_path / "lesson.py"
    lesson.write_text(COUNTED)
    assert elsewhere(run_lesson, str(lesson)) == []


MISTAKEN = """
# %%
import torch
from course_lib import budget, chain, exact, film, fit, get_device, networks, plots
here, there = torch.zeros(8, 2), torch.zeros(8, 2, device=get_device())
model = networks.mlp([2, 2]).to(get_device())
# %%
fit(model, lambda model, x: (model(x) - here[: len(x)]).square().mean(), there, batch_size=8, steps=budget(100))
# %%
chain(lambda x, t: x + here if t[0] == 1 else x, there, range(100, 0, -1))
# %%
exact.sampled_law(lambda t: (torch.eye(2) @ there[:2], there[0]), torch.linspace(1, 0.1, 9), 2)
# %%
fig, ax = plots.figure()
ax.plot(there[:, 0])
# %%
film.play((plots.image_grid(x.reshape(1, 4, 4).numpy(), 1) for x in (there, there, here)), "Nothing moves.")
# %%
film.play((plots.figure() for _ in range(40)), "Nothing moves.")
# %% tags=["experiment"]
for t in range(100, 0, -1):
    there = there + here if t == 1 else there
# %% tags=["experiment"]
for t in range(100):
    there = there + here if t == 0 else there
"""
COUNTED = """
# %%
from functools import cache
import torch
from course_lib import get_device
seen = torch.zeros(1, device=get_device())
@cache
def count(rounds):
    total = 0
    for _ in range(rounds):
        total += 1
    return total
for _ in range(100):
    seen += 1
assert seen == 100
# %% tags=["experiment"]
assert count(100) == 3  # the rounds that were taken
# %% tags=["experiment"]
assert count(100) == 100
# %%
assert count(100) == 100
"""
