"""How good are samples? Numbers with their uncertainty."""

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from course_lib import data


class Estimate(NamedTuple):
    """A number with its standard error. Prints as "0.872 +- 0.011"."""

    value: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} +- {self.standard_error:.3f}"


class KernelDistance(NamedTuple):
    """A squared kernel distance beside what chance alone would give.

    `value` is the distance, `null95` the 95% quantile of the distance when both samples come from one
    distribution; above it (`ratio` > 1) the two samples differ visibly.
    """

    value: float
    null95: float

    @property
    def ratio(self) -> float:
        """How many times the 95% of chance the distance is; above 1 the samples differ visibly."""
        return self.value / self.null95

    def __str__(self) -> str:
        return f"{self.value:.5f} ({self.ratio:.1f} times the 95% of chance)"


def recognise(images: Tensor, range: tuple[float, float] = (0, 1)) -> tuple[Tensor, Tensor]:
    """Which digit a classifier sees in each image, and how sure it is.

    Ten support vector machines with RBF kernel and calibrated probabilities, fitted on the training digits,
    each ask "is this my digit?"; the surest one names the class. On an image that is no digit none is sure.

    Args:
        images: (N, 64) or (N, 1, 8, 8), with black and white as in `range`.

    Returns:
        classes, a LongTensor (N,), and confidences in [0, 1], float32 (N,), both on the CPU.
    """
    if images.numel() != 64 * len(images):
        raise ValueError(f"recognise: expected digits (N, 64) or (N, 1, 8, 8), got {tuple(images.shape)}")
    pixels = (images.detach().cpu().float().reshape(-1, 64) - range[0]) / (range[1] - range[0])
    if not pixels.isfinite().all():
        raise ValueError("recognise: the images contain nan or inf")
    answers = [torch.from_numpy(c.predict_proba(pixels.numpy())[:, 1]).float() for c in _digit_classifiers()]
    confidence, classes = torch.stack(answers, 1).max(1)
    return classes, confidence


def recognised(images: Tensor, confidence: float = 0.8, range: tuple[float, float] = (0, 1)) -> Estimate:
    """Share of images that the classifier of `recognise` takes for a digit with more than `confidence`.

    Returns:
        the share and its binomial standard error. Real test digits reach about 0.9.
    """
    seen = recognise(images, range)[1] > confidence
    return _share(int(seen.sum()), len(seen))


def two_sample_accuracy(real: Tensor, fake: Tensor, seed: int = 0, limit: int = 1000) -> Estimate:
    """Classifier two-sample test: how often can a classifier tell real from fake on examples it was not
    fitted to?

    0.5 means it cannot, 1 that it always can (Lopez-Paz and Oquab, 2017). The classifier is a support vector
    machine with RBF kernel, judged by five-fold cross-validation on equally many of both, at most `limit`
    each.

    Args:
        real, fake: (N, ...) and (M, ...), the same shape per example.

    Returns:
        accuracy and its binomial standard error. The folds share data, so the true error is slightly larger.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, y = _pair(real, fake, "two_sample_accuracy")
    n = min(len(x), len(y), limit)
    generator = torch.Generator().manual_seed(seed)
    x, y = (points[torch.randperm(len(points), generator=generator)[:n]] for points in (x, y))
    points, is_real = torch.cat([x, y]).numpy(), np.repeat([1, 0], n)
    classifier = make_pipeline(StandardScaler(), SVC(gamma="scale", C=3.0))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    guess = cross_val_predict(classifier, points, is_real, cv=folds)
    return _share(int((guess == is_real).sum()), 2 * n)


def kernel_distance(
    x: Tensor, y: Tensor, bandwidth: float | None = None, permutations: int = 200, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy between two samples (Gretton and others, 2012, equation 3).

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = exp(-|x - y|^2 / (2 h^2)), estimated without bias
    (so it may be slightly negative). The default bandwidth h is a third of the median distance: the usual
    choice, the median itself, sees means and variances and little else, and calls a Gaussian fitted to the
    two moons perfect.

    Args:
        x, y: (N, ...) and (M, ...), the same shape per example, at most a few thousand.
        permutations: how many random relabellings the 95% quantile of chance is taken from.
    """
    x, y = _pair(x, y, "kernel_distance")
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"kernel_distance: expected at least 2 points of each, got {n} and {m}")
    points = torch.cat([x, y])
    squared = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    if bandwidth is None:
        off_diagonal = ~torch.eye(n + m, dtype=torch.bool)
        bandwidth = squared[off_diagonal].median().sqrt().item() / 3
    kernel = torch.exp(-squared / (2 * bandwidth**2)).fill_diagonal_(0)  # no point is compared with itself
    generator = torch.Generator().manual_seed(seed)
    orders = torch.stack(
        [torch.arange(n + m), *(torch.randperm(n + m, generator=generator) for _ in range(permutations))]
    )
    in_x = torch.zeros(len(orders), n + m, dtype=kernel.dtype).scatter_(
        1, orders[:, :n], 1.0
    )  # (permutations + 1, N + M)
    row_x, row_y = in_x @ kernel, (1 - in_x) @ kernel
    xx, yy, xy = (row_x * in_x).sum(1), (row_y * (1 - in_x)).sum(1), (row_x * (1 - in_x)).sum(1)
    distance = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    return KernelDistance(distance[0].item(), distance[1:].quantile(0.95).item())


def nearest_neighbours(samples: Tensor, data: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """The `k` examples of `data` (M, ...) nearest to each of `samples` (N, ...), by Euclidean distance.

    Returns:
        distances (N, k), nearest first, and a LongTensor (N, k) of rows in `data`. A distance near 0 is a
        memorised example.
    """
    x, y = samples.detach().flatten(1), data.detach().flatten(1).to(samples)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"nearest_neighbours: examples of shape {tuple(samples.shape[1:])} and {tuple(data.shape[1:])}"
        )
    if not 1 <= k <= len(y):
        raise ValueError(f"nearest_neighbours: k={k}; expected 1 to {len(y)}, the number of data points")
    # In pieces: all distances at once would be 2.4 GB for 10000 samples and MNIST. This mode keeps a 0 at 0.
    pieces = [
        torch.cdist(piece, y, compute_mode="donot_use_mm_for_euclid_dist").topk(k, largest=False)
        for piece in x.split(256)
    ]
    return torch.cat([p.values for p in pieces]), torch.cat([p.indices for p in pieces])


def _pair(x: Tensor, y: Tensor, who: str) -> tuple[Tensor, Tensor]:
    if x.shape[1:] != y.shape[1:]:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{who}: expected examples of one shape, got samples {shapes}")
    flat = [points.detach().cpu().double().reshape(len(points), -1) for points in (x, y)]
    if not all(points.isfinite().all() for points in flat):
        raise ValueError(f"{who}: a sample contains nan or inf")
    return flat[0], flat[1]


def _share(hits: int, n: int) -> Estimate:
    share = hits / n
    return Estimate(share, math.sqrt(share * (1 - share) / n))


@functools.cache
def _digit_classifiers() -> list[Any]:
    """Ten classifiers, one per digit, each of which answers "is this my digit?" with a probability."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    images, classes = data.digits("train", labels=True, device="cpu")

    # Ten yes-or-no questions and not one ten-way choice: where probabilities must sum to 1 some class has to
    # win, and two thirds of pure noise are called a digit with confidence.
    def fitted(is_mine: Tensor) -> Any:
        classifier = CalibratedClassifierCV(SVC(gamma=0.05, C=10.0), ensemble=False, cv=3)
        return classifier.fit(images.numpy(), is_mine.numpy())

    return [fitted(classes == digit) for digit in torch.arange(10)]
