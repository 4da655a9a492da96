"""The judges of samples, judged: they must accept what is real, and see what is not."""

import math

import pytest
import torch

from course_lib import data, exact, metrics


def fitted_gaussian(n, seed=0):
    model = exact.GaussianData.fit(data.two_moons(5000, seed=99))
    return model.sample(n, torch.Generator().manual_seed(seed))


def test_kernel_distance_is_its_definition():
    x, y = data.two_moons(12).double(), fitted_gaussian(9)

    def k(a, b):
        return math.exp(-float((a - b).square().sum()) / (2 * 0.4**2))

    xx = sum(k(x[i], x[j]) for i in range(12) for j in range(12) if i != j) / (12 * 11)
    yy = sum(k(y[i], y[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    xy = sum(k(a, b) for a in x for b in y) / (12 * 9)
    assert metrics.kernel_distance(x, y, bandwidth=0.4).value == pytest.approx(xx + yy - 2 * xy, abs=1e-12)


def test_kernel_distance_rejects_a_fitted_gaussian_and_accepts_fresh_data():
    moons = data.two_moons(300)
    assert metrics.kernel_distance(moons, fitted_gaussian(300)).ratio > 4
    assert metrics.kernel_distance(moons, data.two_moons(300, seed=1)).ratio < 1.5


def test_the_median_bandwidth_would_be_far_less_sharp():
    """Why the default is a third of it."""
    moons, gaussian = data.two_moons(300), fitted_gaussian(300)
    median = torch.pdist(torch.cat([moons.double(), gaussian])).median().item()
    wide, sharp = (metrics.kernel_distance(moons, gaussian, bandwidth=h).ratio for h in (median, median / 3))
    assert wide < 2 < sharp / 2


def test_the_null_is_exceeded_as_often_as_promised():
    hits = sum(
        metrics.kernel_distance(data.two_moons(40, seed=2 * i), data.two_moons(40, seed=2 * i + 1)).ratio > 1
        for i in range(150)
    )
    assert abs(hits - 7.5) < 4.5 * math.sqrt(150 * 0.05 * 0.95)


def test_two_sample_accuracy():
    moons = data.two_moons(400)
    same, error = metrics.two_sample_accuracy(moons, data.two_moons(500, seed=1))
    assert abs(same - 0.5) < 4 * error and error == pytest.approx(math.sqrt(same * (1 - same) / 800))
    assert metrics.two_sample_accuracy(moons, fitted_gaussian(400)).value > 0.6
    assert metrics.two_sample_accuracy(moons, moons + 10).value == 1
    # In 20 dimensions a classifier fits 60 points well; on points it was not fitted to it must guess.
    noise = torch.randn(120, 20, generator=torch.Generator().manual_seed(0))
    assert metrics.two_sample_accuracy(noise[:60], noise[60:]).value < 0.7


def test_real_digits_are_recognised_and_noise_is_not():
    images, classes = data.digits("test", labels=True)
    share, error = metrics.recognised(images)
    assert share > 0.85 and error == pytest.approx(math.sqrt(share * (1 - share) / 360))
    seen, confidence = metrics.recognise(images)
    assert (seen == classes).float().mean() > 0.95 and confidence.min() >= 0.1 and confidence.max() <= 1
    noise = torch.rand(200, 64, generator=torch.Generator().manual_seed(0))
    assert metrics.recognised(noise).value < 0.05
    places = torch.stack([torch.randperm(64, generator=torch.Generator().manual_seed(i)) for i in range(360)])
    assert metrics.recognised(images.gather(1, places)).value < 0.1  # the right ink in the wrong places
    gaussian = exact.GaussianData.fit(data.digits()).sample(200, torch.Generator().manual_seed(0))
    assert metrics.recognised(gaussian.clamp(0, 1)).value < 0.4  # right mean and covariance, wrong digits


def test_recognised_knows_shapes_and_ranges():
    flat = metrics.recognised(data.digits("test"))
    assert metrics.recognised(data.digits("test", flat=False, range=(-1, 1)), range=(-1, 1)) == flat


def test_nearest_neighbours():
    x, y = data.digits("test")[:20], data.digits("train")
    distance, index = metrics.nearest_neighbours(x, y, k=3)
    brute = (x[:, None] - y).square().sum(-1).sqrt()
    assert torch.allclose(distance, brute.sort(1).values[:, :3], atol=1e-5)
    assert torch.equal(index[:, 0], brute.argmin(1))
    copied, where = metrics.nearest_neighbours(y[[5, 900]], y)
    assert copied.tolist() == [[0], [0]] and where.tolist() == [[5], [900]]


def test_how_they_print():
    assert str(metrics.Estimate(0.8719, 0.0113)) == "0.872 +- 0.011"
    assert str(metrics.KernelDistance(0.02, 0.004)) == "0.02000 (5.0 times the 95% of chance)"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.recognised(torch.zeros(3, 49)), r"expected digits \(N, 64\)"),
        (lambda: metrics.recognised(torch.full((3, 64), math.nan)), "nan or inf"),
        (lambda: metrics.kernel_distance(torch.zeros(3, 2), torch.zeros(3, 3)), "examples of one shape"),
        (lambda: metrics.kernel_distance(torch.zeros(1, 2), torch.zeros(3, 2)), "at least 2 points"),
        (lambda: metrics.two_sample_accuracy(torch.zeros(9, 2), torch.full((9, 2), math.inf)), "nan or inf"),
        (lambda: metrics.nearest_neighbours(torch.zeros(3, 2), torch.zeros(3, 2), k=4), "expected 1 to 3"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
