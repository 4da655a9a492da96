"""Two small tools: `ema_update`, `bits_per_dim`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from ...student import Failure

LESSON = "06-sampling"


class Flat:
    """The student's ema_update with the tensors of both lists as arguments of their own."""

    def __init__(self, student):
        self.student = student

    @staticmethod
    def _lists(args):
        *tensors, decay = args
        half = len(tensors) // 2
        return tensors[:half], tensors[half:], decay

    def __call__(self, *args):
        return self.student(*self._lists(args))

    def inputs_after(self, *args):
        after = self.student.inputs_after(*self._lists(args))
        return after if isinstance(after, Failure) else [*after[0], *after[1], after[2]]


@exercise("ema_update", points=1)
def ema_update(student, case):
    """decay x average + (1 - decay) x current, tensor by tensor, as a new list."""
    truth = ema_update.oracle
    shapes: list[list[int]] = [case.sizes(2), case.sizes(1), case.sizes(4, high=6), []]
    average, current = ([case.normal(*shape) for shape in shapes] for _ in range(2))
    decay = case.number(0.6, 0.9)
    got, true = student(average, current, decay), truth(average, current, decay)
    case.expect(got, true, "weights of several shapes", points=0.5, dtype=True)
    limits = [(average[:1], current[:1], decay) for decay in (0.0, 0.5, 0.9999)]
    case.expect(
        [student(*one) for one in limits], [truth(*one) for one in limits], "decay 0, 1/2 and 0.9999", points=0.25
    )

    def flat_truth(*args):
        return truth(*Flat._lists(args))

    case.conventions(Flat(student), (*average, *current, decay), flat_truth, points=0.25)


@ema_update.truth
def _(average, current, decay):
    """What is left of the distance to `current`."""
    return [c + decay * (a - c) for a, c in zip(average, current, strict=True)]


@ema_update.alternative("list comprehension")
def _(average, current, decay):
    return [decay * a + (1 - decay) * c for a, c in zip(average, current, strict=True)]


@ema_update.alternative("lerp in a loop")
def _(average, current, decay):
    out = []
    for i in range(len(average)):
        out.append(torch.lerp(average[i], current[i], 1 - decay))
    return out


@ema_update.alternative("all tensors at once")
@torch.no_grad()
def _(average, current, decay):
    kept = torch._foreach_mul(average, decay)
    return list(torch._foreach_add(kept, current, alpha=1 - decay))


@ema_update.alternative("clones changed in place")
def _(average, current, decay):
    new = [a.detach().clone() for a in average]
    for a, c in zip(new, current, strict=True):
        a.mul_(decay).add_(c, alpha=1 - decay)
    return new


@ema_update.misconception(
    "decay and 1 - decay change places",
    hint="decay is near 1 and says how much of the average is kept. With the two swapped the average is nothing but "
    "the last weights.",
)
def _(average, current, decay):
    return [(1 - decay) * a + decay * c for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the average is overwritten",
    hint="mul_, add_ and lerp_ write into the tensors that you were given, and average[i] = ... into the list. Return "
    "a new list of new tensors.",
)
def _(average, current, decay):
    for a, c in zip(average, current, strict=True):
        a.mul_(decay).add_(c, alpha=1 - decay)
    return average


@ema_update.misconception(
    "1 - decay is missing",
    hint="The two factors add up to 1; otherwise the average grows with every update.",
)
def _(average, current, decay):
    return [decay * a + c for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the average is not decayed",
    hint="The old average is multiplied by decay before the new share comes in; otherwise it grows with every update.",
)
def _(average, current, decay):
    return [a + (1 - decay) * c for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the plain mean of the two",
    hint="An exponential average keeps `decay` of the old value, not half of it.",
)
def _(average, current, decay):
    return [(a + c) / 2 for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the current weights are returned",
    hint="The average moves a little towards the current weights; it does not become them.",
)
def _(average, current, decay):
    return [c.clone() for c in current]


@ema_update.misconception(
    "nothing is returned",
    hint="Return the new list. (Did you change the average in place instead?)",
)
def _(average, current, decay):
    for a, c in zip(average, current, strict=True):
        a.mul_(decay).add_(c, alpha=1 - decay)


# ---- bits_per_dim


@exercise("bits_per_dim", points=1)
def bits_per_dim(student, case):
    """nats / (dims ln 2)."""
    truth, batch = bits_per_dim.oracle, case.integer(3, 8)
    nats, dims = case.uniform(batch, low=50.0, high=300.0), case.integer(10, 90)
    case.expect(student(nats, dims), truth(nats, dims), "one value for each example", points=0.5, dtype=True)
    values = case.number(5.0, 40.0), case.uniform(low=-40.0, high=-5.0)
    sizes = case.sizes(2)
    got = [plain(student(value, size)) for value, size in zip(values, sizes, strict=True)]
    true = [plain(truth(value, size)) for value, size in zip(values, sizes, strict=True)]
    case.expect(got, true, "a single number", points=0.25)
    case.conventions(student, (nats, dims), truth, points=0.25)


def plain(value):
    """A tensor without axes as a float: for one number either will do."""
    return float(value) if isinstance(value, torch.Tensor) and value.ndim == 0 else value


@bits_per_dim.truth
def _(nats, dims):
    """By the uniform code: log2 n bits are ln n nats, for n = 1024."""
    return nats / dims * 10 / math.log(1024)


@bits_per_dim.alternative("over dims ln 2")
def _(nats, dims):
    return nats / (dims * math.log(2))


@bits_per_dim.alternative("times log2 e")
def _(nats, dims):
    return nats * math.log2(math.e) / dims


@bits_per_dim.alternative("step by step, with a tensor's logarithm")
def _(nats, dims):
    bits = nats / torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    return bits / dims


@bits_per_dim.misconception(
    "nats are not turned into bits",
    hint="A bit is ln 2 = 0.693 nats: divide by it. Your numbers are nats per dimension.",
)
def _(nats, dims):
    return nats / dims


@bits_per_dim.misconception(
    "not divided by the number of dimensions",
    hint="Your numbers are bits per example. Divide by dims, so that images of different sizes can be compared.",
)
def _(nats, dims):
    return nats / math.log(2)


@bits_per_dim.misconception(
    "multiplied by ln 2",
    hint="A bit is smaller than a nat, so there are more bits than nats: divide by ln 2.",
)
def _(nats, dims):
    return nats * math.log(2) / dims


@bits_per_dim.misconception(
    "divided by ln 10",
    hint="Base 10 gives digits. A bit is a factor of 2: divide by ln 2.",
)
def _(nats, dims):
    return nats / (dims * math.log(10))


@bits_per_dim.misconception(
    "divided by 2",
    hint="A bit is ln 2 nats: it is the logarithm of 2 that stands below.",
)
def _(nats, dims):
    return nats / (2 * dims)


@bits_per_dim.misconception(
    "the sign is reversed",
    hint="nats come in as they are to be converted. A code length stays positive.",
)
def _(nats, dims):
    return -nats / (dims * math.log(2))


@bits_per_dim.misconception(
    "the logarithm is taken once more",
    hint="nats is a logarithm already. Changing its base is a division by ln 2.",
)
def _(nats, dims):
    return torch.log2(torch.as_tensor(nats)) / dims


@bits_per_dim.misconception(
    "the number of dimensions twice",
    hint="The nats are those of a whole example, summed over its dimensions: divide by dims once.",
)
def _(nats, dims):
    return nats / (dims**2 * math.log(2))


@bits_per_dim.misconception(
    "the mean over the batch",
    hint="Convert each value by itself: what comes in with shape (B,) comes out with shape (B,).",
)
def _(nats, dims):
    return torch.as_tensor(nats).mean() / (dims * math.log(2))
