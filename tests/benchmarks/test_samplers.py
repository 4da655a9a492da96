"""Samplers on Gaussian data: the exact law against closed forms, draws and each other; libraries against their figures.

The published figures are those of benchmarks/results/samplers.json, made with the versions that stand in it.
"""

import json
import math
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from benchmarks.samplers import own
from benchmarks.samplers.gaussian import Impulses, Predictor, course_table, law, w2

ROOT = Path(__file__).resolve().parents[2]
VARIANCES = torch.tensor([0.04, 0.25, 1.0, 4.0], dtype=torch.float64)
TABLE = course_table()


def published():
    return json.loads((ROOT / "benchmarks/results/samplers.json").read_text())


def as_published(package):
    try:
        return version(package) == published()["versions"][package]
    except PackageNotFoundError:
        return False


def test_ddim_is_the_product_of_its_gains():
    """Euler in y = x / sqrt(alpha_bar) and sigma multiplies y by 1 + (sigma' - sigma) sigma / (v + sigma^2)."""
    for steps in (7, 20):
        times = [round(1000 * (steps - i) / steps) for i in range(steps + 1)]
        sigmas = ((1 - TABLE[times]) / TABLE[times]).sqrt()
        gain = 1 / TABLE[1000].sqrt() * torch.ones(4, dtype=torch.float64)
        for now, then in pairwise(sigmas):
            gain = gain * (1 + (then - now) * now / (VARIANCES + now**2))
        found = law(own.ddim, VARIANCES, steps)
        torch.testing.assert_close(found.deviation, gain, rtol=1e-10, atol=0)
        assert found.calls == steps and found.mean.abs().max() < 1e-12


def test_the_mean_of_an_exact_flow_misses_what_the_start_lacks():
    """In the limit x_0 = m + sqrt(v / v_T) (x_T - sqrt(alpha_bar_T) m), so the mean comes out short by that share."""
    found = law(own.ddim, VARIANCES, 1000, mean=1.0)
    end = TABLE[1000]
    short = (VARIANCES / (end * VARIANCES + 1 - end)).sqrt() * end.sqrt()
    torch.testing.assert_close(1 - found.mean, short, rtol=0.02, atol=0)


@pytest.mark.parametrize("walk", [own.ddpm_posterior, own.ddpm_beta], ids=["posterior", "beta"])
def test_the_law_is_that_of_draws(walk):
    """Five standard errors of 20,000 walks."""
    count, steps = 20_000, 6
    found = law(walk, VARIANCES, steps, mean=0.5, draws=steps)
    generator = torch.Generator().manual_seed(0)

    def draw(like):
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    ends = walk(Predictor(VARIANCES, 0.5), draw(torch.empty(count, 4)), draw, steps)
    deviation = found.deviation
    assert ((ends.mean(0) - found.mean).abs() < 5 * deviation / count**0.5).all()
    assert ((ends.std(0) - deviation).abs() < 5 * deviation / (2 * count) ** 0.5).all()


def test_the_posterior_variance_is_right_for_a_point():
    point = torch.tensor([1e-12], dtype=torch.float64)
    assert law(own.ddpm_posterior, point, 10, draws=10).deviation.item() < 1e-5


def test_heun_keeps_an_error_that_its_last_step_makes():
    """v / (v + sigma^2) of the flow's deviation at sigma = 0.01, however many steps come before."""
    thin = torch.tensor([1e-4, 1e-3], dtype=torch.float64)
    found = law(own.heun, thin, 400)
    left = (thin / (thin + 1e-4)).sqrt()
    torch.testing.assert_close(found.deviation / thin.sqrt(), left, rtol=2e-3, atol=0)
    assert found.calls == 799


def test_a_walk_that_stops_at_a_noise_level_keeps_it():
    """√(1 + sigma² / v): DPM-Solver fast, from the published figures."""
    case = published()["cases"]["no last step"]
    for variance, found, left in zip(case["variances"], case["found"]["800"], case["left for ever"], strict=True):
        assert left == pytest.approx(math.sqrt(1 + 1e-4 / variance) - 1)
        assert found == pytest.approx(left, abs=3e-4)


def test_distances():
    found = law(own.ddim, VARIANCES, 20)
    apart = math.sqrt(((found.deviation - VARIANCES.sqrt()) ** 2).sum().item())
    assert w2(found, VARIANCES) == pytest.approx(apart)
    assert Impulses(3)(torch.ones(3, 2)).tolist() == [[0, 0], [0, 0], [1, 1]]


PINNED = [
    ("diffusers", "diffusers", "DPM-Solver++ 2M"),
    ("azula", "azula", "Heun"),
    ("k-diffusion", "k_diffusion", "DPM-Solver fast"),
]


@pytest.mark.parametrize("package, library, name", PINNED, ids=[package for package, _, _ in PINNED])
def test_the_pinned_libraries_give_the_published_figures(package, library, name):
    if not as_published(package):
        pytest.skip(f"needs {package} {published()['versions'][package]}: benchmarks/samplers/requirements.txt")
    from benchmarks.samplers.lineup import find

    sampler = find(library, name)
    (rows,) = [row["runs"] for row in published()["samplers"] if (row["library"], row["name"]) == (library, name)]
    for row in rows:
        if row["steps"] <= 50:
            found = law(sampler.walk, VARIANCES, row["steps"])
            errors = found.deviation / VARIANCES.sqrt() - 1
            torch.testing.assert_close(errors, torch.tensor(row["errors"], dtype=torch.float64), rtol=0, atol=1e-5)
            assert found.calls == row["calls"]


def test_a_students_walk_is_the_librarys():
    if not (as_published("diffusers") and as_published("k-diffusion")):
        pytest.skip("needs diffusers and k-diffusion: benchmarks/samplers/requirements.txt")
    from benchmarks.samplers.peers import diffusers_walk, k_diffusion_walk

    trailing = diffusers_walk("DDIMScheduler", clip_sample=False, timestep_spacing="trailing")
    torch.testing.assert_close(
        law(trailing, VARIANCES, 20).deviation, law(own.ddim, VARIANCES, 20).deviation, rtol=0, atol=1e-5
    )
    heun = law(k_diffusion_walk("sample_heun"), VARIANCES, 20).deviation
    torch.testing.assert_close(heun, law(own.heun, VARIANCES, 20).deviation, rtol=0, atol=1e-4)


def test_the_page_holds_the_published_figures():
    """docs/samplers.md is made from the same runs."""
    page = (ROOT / "docs/samplers.md").read_text(encoding="utf-8")
    for package, number in published()["versions"].items():
        assert f"{package} {number}" in page
    (run,) = [
        run
        for row in published()["samplers"]
        if (row["library"], row["name"]) == ("course", "DDIM")
        for run in row["runs"]
        if run["calls"] == 20
    ]
    cells = [f"{100 * error:+.1f}%" for error in run["errors"]]
    assert f"| DDIM (the course) | 20 | {' | '.join(cells)} |" in page
