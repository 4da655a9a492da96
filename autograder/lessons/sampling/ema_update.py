"""A slow copy of the weights: `ema_update`."""

from __future__ import annotations

import torch

from ...conventions import Manner
from ...exercise import exercise


class Lists(Manner):
    """The tensors of both lists as arguments of their own."""

    def calls(self, args):
        *tensors, decay = args
        half = len(tensors) // 2
        return [[tensors[:half], tensors[half:], decay]]


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
        return truth(*Lists().calls(args)[0])

    case.conventions(
        student,
        (*average, *current, decay),
        flat_truth,
        points=0.25,
        also=[(average[0][:1], current[0][:1], decay)],
        manner=Lists(),
    )


@ema_update.truth
def truth(average, current, decay):
    """What is left of the distance to `current`."""
    return [c + decay * (a - c) for a, c in zip(average, current, strict=True)]


@ema_update.alternative("list comprehension")
def list_comprehension(average, current, decay):
    return [decay * a + (1 - decay) * c for a, c in zip(average, current, strict=True)]


@ema_update.alternative("lerp in a loop")
def lerp_in_loop(average, current, decay):
    out = []
    for i in range(len(average)):
        out.append(torch.lerp(average[i], current[i], 1 - decay))
    return out


@ema_update.alternative("all tensors at once")
@torch.no_grad()
def all_tensors_at_once(average, current, decay):
    kept = torch._foreach_mul(average, decay)
    return list(torch._foreach_add(kept, current, alpha=1 - decay))


@ema_update.alternative("clones changed in place")
def clones_changed_in_place(average, current, decay):
    new = [a.detach().clone() for a in average]
    for a, c in zip(new, current, strict=True):
        a.mul_(decay).add_(c, alpha=1 - decay)
    return new


@ema_update.misconception(
    "decay and 1 - decay change places",
    hint="decay is near 1 and says how much of the average is kept. With the two swapped the average is nothing but "
    "the last weights.",
)
def decay_and_1_minus_decay_change_places(average, current, decay):
    return [(1 - decay) * a + decay * c for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the average is overwritten",
    hint="mul_, add_ and lerp_ write into the tensors that you were given, and average[i] = ... into the list. Return "
    "a new list of new tensors.",
)
def average_is_overwritten(average, current, decay):
    for a, c in zip(average, current, strict=True):
        a.mul_(decay).add_(c, alpha=1 - decay)
    return average


@ema_update.misconception(
    "1 - decay is missing",
    hint="The two factors add up to 1; otherwise the average grows with every update.",
)
def one_minus_decay_is_missing(average, current, decay):
    return [decay * a + c for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the average is not decayed",
    hint="The old average is multiplied by decay before the new share comes in; otherwise it grows with every update.",
)
def average_is_not_decayed(average, current, decay):
    return [a + (1 - decay) * c for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the plain mean of the two",
    hint="An exponential average keeps `decay` of the old value, not half of it.",
)
def plain_mean_of_two(average, current, decay):
    return [(a + c) / 2 for a, c in zip(average, current, strict=True)]


@ema_update.misconception(
    "the current weights are returned",
    hint="The average moves a little towards the current weights; it does not become them.",
)
def current_weights_are_returned(average, current, decay):
    return [c.clone() for c in current]


@ema_update.misconception(
    "nothing is returned",
    hint="Return the new list. (Did you change the average in place instead?)",
)
def nothing_is_returned(average, current, decay):
    for a, c in zip(average, current, strict=True):
        a.mul_(decay).add_(c, alpha=1 - decay)
