"""A chain under other names: `to_course_convention`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("to_course_convention", points=1)
def to_course_convention(student, case):
    """Tables with a^2 + b^2 = 1 (x_t = a x_{t-1} + b eps) -> (alpha, beta) of ours."""
    truth = to_course_convention.oracle
    a, b = _circle(case, case.integer(5, 8))
    alpha, beta = case.unpack(student(a, b), "alpha", "beta")
    true_alpha, true_beta = truth(a, b)
    case.expect(alpha, true_alpha, "alpha", points=0.4)
    case.expect(beta, true_beta, "beta", points=0.4)
    case.conventions(student, (a, b), truth, points=0.2, also=[(a[:1], b[:1])])


def _circle(case, steps):
    """a, b (T + 1,) on the unit circle, a[0] = 1; the last step wipes out everything."""
    angle = torch.cat([torch.zeros(1, dtype=torch.float64), case.uniform(steps, low=0.3, high=1.2)])
    a, b = angle.cos(), angle.sin()
    a[-1], b[-1] = 0.0, 1.0
    return a, b


@to_course_convention.truth
def truth(a, b):
    double_angle = 2 * torch.atan2(b, a)
    return (1 + double_angle.cos()) / 2, (1 - double_angle.cos()) / 2


@to_course_convention.misconception(
    "a and b are left as they are",
    hint="Theirs are factors of the picture and of the noise, ours are shares of variance. Compare the two steps "
    "factor by factor.",
)
def a_and_b_are_left_as_they_are(a, b):
    return a.clone(), b.clone()


@to_course_convention.misconception(
    "the roots in place of the squares",
    hint="sqrt(alpha_t) is their a_t, so alpha_t is its square. You went the other way.",
)
def roots_in_place_of_squares(a, b):
    return a.sqrt(), b.sqrt()


@to_course_convention.misconception(
    "alpha_bar in place of alpha",
    hint="You multiplied up all steps. Asked for are alpha_t and beta_t of one step, entry by entry.",
)
def alpha_bar_in_place_of_alpha(a, b):
    alpha_bar = torch.cumprod(a**2, 0)
    return alpha_bar, 1 - alpha_bar


@to_course_convention.misconception(
    "alpha and beta change places",
    hint="alpha belongs to the picture and comes first; beta belongs to the noise. At t = 0 they are 1 and 0.",
)
def alpha_and_beta_change_places(a, b):
    return b**2, a**2


@to_course_convention.misconception(
    "only a is squared",
    hint="b is a factor like a: it multiplies the noise. Our beta is the noise's variance, so b is squared as well.",
)
def only_a_is_squared(a, b):
    return a**2, b.clone()


@to_course_convention.misconception(
    "a is read as alpha",
    hint="Their a multiplies the picture where we have sqrt(alpha): square it. Then beta = 1 - alpha comes out right "
    "too.",
)
def a_is_read_as_alpha(a, b):
    return a.clone(), 1 - a


@to_course_convention.misconception(
    "b is read as beta",
    hint="Their b multiplies the noise where we have sqrt(beta): square it. Then alpha = 1 - beta comes out right too.",
)
def b_is_read_as_beta(a, b):
    return 1 - b, b.clone()


@to_course_convention.misconception(
    "an input is overwritten",
    hint="pow_ and mul_ write into the tables you were given. Use ** 2, which makes new ones.",
)
def input_is_overwritten(a, b):
    return a.pow_(2), b.pow_(2)


@to_course_convention.alternative("beta from alpha")
def beta_from_alpha(a, b):
    alpha = a * a
    return alpha, 1 - alpha


@to_course_convention.alternative("alpha from beta, in a list")
def alpha_from_beta_in_list(a, b):
    beta = b.square()
    return [1 - beta, beta]


@to_course_convention.alternative("both at once")
def both_at_once(a, b):
    alpha, beta = torch.stack([a, b]).pow(2)
    return alpha, beta


@to_course_convention.alternative("the square of each")
def square_of_each(a, b):
    return a**2, b**2
