"""Mistakes that nobody listed: named by kind from the answers alone, never where an answer is right."""

import math

import pytest
import torch
from lesson_answers import all_exercises, mark_here, replaced, solution

from autograder.diagnosis import work
from autograder.diagnosis.naming import explain
from autograder.diagnosis.transcript import Transcript
from autograder.exercise import find_exercise
from autograder.marking import judge
from autograder.sandbox.responder import Responder
from autograder.student import LocalLink

NAMES = ("ada", "emmy")


@pytest.fixture
def unlisted():
    """Marks without the hand-written list."""

    def mark(name, function, student="ada"):
        exercise = find_exercise(name)
        kept = list(exercise.misconceptions)
        exercise.misconceptions.clear()
        try:
            return mark_here(exercise, replaced(exercise, function), student)
        finally:
            exercise.misconceptions.extend(kept)

    return mark


def along(values, like):
    return values.reshape(-1, *[1] * (like.ndim - 1))


def noised(first, second):
    """A forward sample made of two coefficients of alpha_bar_t."""

    def q_sample(x0, t, alpha_bar, eps):
        now = along(alpha_bar[t], x0)
        return first(now) * x0 + second(now) * eps

    return q_sample


ROOT, REST = torch.sqrt, lambda a: (1 - a).sqrt()
WRONG = [
    ("q_sample", noised(ROOT, lambda a: 1 - a), "root"),
    ("q_sample", noised(ROOT, lambda a: -REST(a)), "sign"),
    ("q_sample", noised(REST, ROOT), "1 - alpha_bar"),
    ("q_sample", lambda x0, t, alpha_bar, eps: noised(ROOT, REST)(eps, t, alpha_bar, x0), "exchanged"),
    (
        "q_sample",
        lambda x0, t, alpha_bar, eps: noised(ROOT, REST)(x0, t[:1].expand(len(t)), alpha_bar, eps),
        "one time",
    ),
    ("q_sample", lambda x0, t, alpha_bar, eps: noised(ROOT, REST)(x0, t - 1, alpha_bar, eps), "early"),
    ("gaussian_kl", lambda mu, logvar: (mu**2 + logvar.exp() - 1 - logvar).sum(-1), "twice"),
    ("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar).mean(-1), "averaged over the event"),
    ("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1) / math.log(2), "bits"),
    ("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 + logvar).sum(-1), "sign"),
    ("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - logvar).sum(-1), "term is missing"),
]


@pytest.mark.parametrize(("name", "function", "word"), WRONG)
def test_a_mistake_is_named_by_its_kind(unlisted, name, function, word):
    for student in NAMES:
        result = unlisted(name, function, student)
        assert not result.passed and result.diagnosis is not None, result.message
        assert word in result.diagnosis


def test_an_exercise_may_say_it_in_its_own_words(unlisted, monkeypatch):
    exercise = find_exercise("q_sample")
    monkeypatch.setitem(exercise.words, ("early", "t"), ("one step behind", "Step t is entry t."))
    function = next(function for name, function, word in WRONG if word == "early")
    assert unlisted("q_sample", function).message == "One step behind. Step t is entry t."


def test_two_mistakes_at_once_are_both_named(unlisted):
    result = unlisted("gaussian_kl", lambda mu, logvar: -(mu**2 + (2 * logvar).exp() - 1 - 2 * logvar).sum(-1) / 2)
    assert result.diagnosis.startswith("two things at once") and "logvar" in result.diagnosis
    assert "sign" in result.diagnosis


def ratio(t, alpha_bar, meet):
    """The variance of the posterior, its two factors put together by `meet`."""
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return meet(1 - now / before, (1 - before) / (1 - now))


@pytest.mark.parametrize(
    ("meet", "word"),
    [(torch.add, "operation"), (torch.pow, "operation"), (lambda a, b: a * b.sqrt(), "square or a root")],
)
def test_a_step_made_in_a_way_that_no_formula_has_is_found_by_values_alone(unlisted, monkeypatch, meet, word):
    """The one right answer that is left has neither of the two factors as a step."""
    exercise = find_exercise("posterior_variance")
    for name in list(exercise.alternatives):
        if not name.startswith("one over the precision"):
            monkeypatch.delitem(exercise.alternatives, name)
    for student in NAMES:
        diagnosis = unlisted("posterior_variance", lambda t, alpha_bar: ratio(t, alpha_bar, meet), student).diagnosis
        assert diagnosis is not None and word in diagnosis


def test_the_search_is_cut_by_counted_work(unlisted, monkeypatch):
    def mistake(t, alpha_bar):
        return ratio(t, alpha_bar, torch.add)

    monkeypatch.setattr(work, "ROOM", 100)
    assert unlisted("posterior_variance", mistake).diagnosis is None


def test_refusing_in_words_of_ones_own_does_not_hide_a_mistake(unlisted):
    def p_step(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
        if variance not in ("posterior", "beta"):
            raise ValueError("which variance?")
        now, before = along(alpha_bar[t], xt), along(alpha_bar[t - 1], xt)
        beta = 1 - now / before
        size = beta * (1 - before) / (1 - now) if variance == "posterior" else beta
        mean = (xt - beta / (1 - now).sqrt() * eps_hat) / (1 - beta).sqrt()
        return mean - size.sqrt() * torch.where(along(t, xt) > 1, z, 0.0 * z)

    assert "wrong sign" in unlisted("p_step", p_step).diagnosis


def test_a_sampler_that_counts_from_0_is_told_so(unlisted):
    def ddpm_sample(model, x_T, alpha_bar, noise):
        now, before, x = alpha_bar[1:], alpha_bar[:-1], x_T
        for i in reversed(range(len(now))):
            beta = 1 - now[i] / before[i]
            eps = model(x, torch.full((len(x),), i, dtype=torch.long))
            mean = (x - beta / (1 - now[i]).sqrt() * eps) / (1 - beta).sqrt()
            x = mean + (beta * (1 - before[i]) / (1 - now[i])).sqrt() * (noise[i] if i > 0 else 0)
        return x

    assert "one step early" in unlisted("ddpm_sample", torch.no_grad()(ddpm_sample)).diagnosis


def test_a_batch_of_wrong_answers_never_tells_a_value(unlisted):
    """What is told names kinds, arguments and plain relations; no digit of a right answer, no line of ours."""
    for name, function, _ in WRONG:
        message = unlisted(name, function).message
        assert not any(sign in message for sign in ("sqrt(", "alpha_bar[", "return", "lambda", "0.")), message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.nan, "Every value is NaN"),
        (torch.inf, "Every value is infinite"),
        (0.0, "Every value is zero"),
        (3.0, "Every value is the same"),
    ],
)
def test_answers_without_information_are_told_as_that(unlisted, value, said):
    result = unlisted("gaussian_kl", lambda mu, logvar: 0 * mu.sum(-1) + value)
    assert result.diagnosis is None and result.message.startswith(said)


def test_a_plain_relation_and_the_times_that_come_out_right(unlisted):
    """t = 1 alone is right, whatever happens to later times."""

    def late(x0, t, alpha_bar, eps):
        right = noised(ROOT, REST)(x0, t, alpha_bar, eps)
        return torch.where(along(t, x0) > 1, right + x0.abs() * eps.cos() * 0.37, right)

    result = unlisted("q_sample", late)
    assert result.diagnosis is None and "Right for t = 1, wrong from t = 2 on." in result.message
    result = unlisted("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1) * 1.37)
    assert result.message.startswith("All values are off by one and the same factor.")


def test_an_argument_handed_back_is_told_as_that(unlisted):
    result = unlisted("q_sample", lambda x0, t, alpha_bar, eps: x0)
    assert result.diagnosis is None and result.message.startswith(
        "The function returns one of its arguments unchanged."
    )


def test_what_is_plain_from_the_form_is_named(unlisted):
    def overwrites(x0, t, alpha_bar, eps):
        x0.copy_(noised(ROOT, REST)(x0, t, alpha_bar, eps))
        return x0

    assert unlisted("q_sample", overwrites).diagnosis == "an input is overwritten"
    constant = unlisted("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar + 1e-5).sum(-1))
    assert constant.diagnosis is not None and "constant" in constant.diagnosis


def kl(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)


def fresh(x0, t, alpha_bar, eps):
    return noised(ROOT, REST)(x0, t, alpha_bar, torch.randn_like(eps))


def one_trailing_axis(x0, t, alpha_bar, eps):
    now = alpha_bar[t].reshape(-1, 1)
    return now.sqrt() * x0 + (1 - now).sqrt() * eps


def softplus(mu, logvar, eps):
    return mu + torch.nn.functional.softplus(logvar) * eps


def of_each(x, logits, mu, logvar, beta=1.0):
    likelihood = next(iter(find_exercise("bernoulli_log_likelihood").alternatives.values()))
    return beta * kl(mu, logvar) - likelihood(x, logits)


@pytest.mark.parametrize(
    ("name", "function", "word"),
    [
        ("q_sample", fresh, "fresh noise is drawn in place of eps"),
        ("q_sample", one_trailing_axis, "the number of axes is taken for granted"),
        ("gaussian_kl", lambda mu, logvar: kl(mu, logvar).sigmoid(), "an activation is applied to the result"),
        ("gaussian_kl", lambda mu, logvar: kl(mu, logvar)[:, None], "right values in a wrong form"),
        ("gaussian_kl", lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar), "a sum over the event"),
        ("gaussian_kl", lambda mu, logvar: kl(mu - mu.mean(0), logvar), "mu is centred"),
        ("negative_elbo", of_each, "a mean over the batch is missing"),
        ("reparameterize", softplus, "one function stands where another belongs"),
        ("reparameterize", lambda mu, logvar, eps: mu + logvar * eps, "logarithm"),
        (
            "reparameterize",
            lambda mu, logvar, eps: mu + (logvar.detach() / 2).exp() * eps,
            "no gradient reaches logvar",
        ),
        ("log_mean_exp", lambda values, dim: values.exp().mean(dim).log(), "infinite where a number belongs"),
    ],
)
def test_other_kinds_are_named_too(unlisted, name, function, word):
    for student in NAMES:
        result = unlisted(name, function, student)
        assert result.diagnosis is not None and word in result.diagnosis, (result.diagnosis, result.message)


def choosing(instead):
    """`p_step` with another choice of variance than the one that was asked for."""
    right = next(iter(find_exercise("p_step").alternatives.values()))

    def p_step(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
        return right(xt, eps_hat, t, alpha_bar, z, instead.get(variance, variance))

    return p_step


@pytest.mark.parametrize(
    ("instead", "word"),
    [
        ({"posterior": "beta", "beta": "posterior"}, "two choices of variance are exchanged"),
        ({"beta": "posterior"}, "one choice of variance is treated like another"),
        (dict.fromkeys(("small", "Beta", "post", "betas", "b", ""), "beta"), "what has to be refused is accepted"),
    ],
)
def test_choices_that_are_mixed_up_or_not_refused_are_told(unlisted, instead, word):
    assert word in unlisted("p_step", choosing(instead)).diagnosis


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: exercise.name)
def test_a_right_answer_is_never_diagnosed(exercise):
    for student in NAMES:
        assert mark_here(exercise, solution(exercise.lesson), student).diagnosis is None


@pytest.mark.parametrize("name", ["ddim_step", "cfg_eps", "q_posterior", "score_function_gradient"])
def test_another_right_formula_is_no_changed_one(name):
    """Of each there is a right answer that another one gives too when something that does not matter is changed."""
    exercise = find_exercise(name)
    for function in exercise.alternatives.values():
        transcript = Transcript(LocalLink(Responder(replaced(exercise, function))))
        judge(exercise, transcript, "name-0")
        assert explain(exercise, transcript.exchanges).name is None


def test_the_students_process_is_asked_nothing_more_and_the_words_stay_the_same():
    exercise = find_exercise("q_sample")

    class Counting(LocalLink):
        asked = 0

        def ask(self, frame, serve):
            Counting.asked += 1
            return super().ask(frame, serve)

    counts, said = [], []
    for function in (noised(ROOT, REST), noised(ROOT, lambda a: 1 - a), noised(ROOT, lambda a: 1 - a)):
        Counting.asked = 0
        said.append(judge(exercise, Counting(Responder(replaced(exercise, function))), "ada").message)
        counts.append(Counting.asked)
    assert counts[0] == counts[1] == counts[2] and said[1] == said[2]


class AdaptiveNorm(torch.nn.Module):
    """The lesson's layer under other names, without the 1 in 1 + scale."""

    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        self.groups, self.both = groups, torch.nn.Linear(embed_dim, 2 * channels)
        torch.nn.init.zeros_(self.both.weight)
        torch.nn.init.zeros_(self.both.bias)

    def forward(self, h, emb):
        scale, shift = self.both(emb)[:, :, None, None].chunk(2, 1)
        return scale * torch.nn.functional.group_norm(h, self.groups) + shift


def test_a_mistake_in_a_method_is_found_whatever_the_parameters_are_called(unlisted):
    assert unlisted("AdaptiveNorm", AdaptiveNorm).diagnosis == "one term is missing"


def walk(model, x_T, alpha_bar, noise, last=0, times=lambda t: t, scale=torch.sqrt):
    """DDPM's walk, its noise scaled by `scale` of the variance, with the model asked at `times`."""
    x = x_T
    for t in range(len(alpha_bar) - 1, last, -1):
        now, before = alpha_bar[t], alpha_bar[t - 1]
        beta = 1 - now / before
        eps = model(x, times(torch.full((len(x),), t)))
        x = (x - beta / (1 - now).sqrt() * eps) / (1 - beta).sqrt()
        x = x + scale(beta * (1 - before) / (1 - now)) * noise[t]
    return x


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"times": lambda t: t.double()}, "model gets a tensor of another dtype"),
        ({"times": lambda t: t / 10}, "model gets times in another unit"),
        ({"times": lambda t: t[:1]}, "model gets one number in a form other than one for each example"),
        ({"last": 1}, "model is asked not often enough"),
        ({"scale": lambda v: v}, "a root is missing"),
    ],
)
def test_what_a_walk_asks_the_model_tells_its_mistake(unlisted, changed, word):
    function = torch.no_grad()(lambda *given: walk(*given, **changed))
    assert word in unlisted("ddpm_sample", function).diagnosis


@pytest.mark.parametrize(
    ("name", "function", "word"),
    [
        (
            "linear_beta",
            lambda T, first=1e-3, last=0.02: torch.cat([torch.zeros(1), torch.linspace(first, last, T)]),
            "another number serves for first",
        ),
        ("latent_scale", lambda z: 1 - z.std(correction=0).item(), "operation"),
    ],
    ids=["default", "number"],
)
def test_another_default_and_a_mistake_in_a_plain_number_are_found(unlisted, name, function, word):
    for student in NAMES:
        diagnosis = unlisted(name, function, student).diagnosis
        assert diagnosis is not None and word in diagnosis


def test_pairs_are_found_together_where_one_change_leads_out_of_the_table(unlisted):
    right = next(iter(find_exercise("predict_eps").alternatives.values()))
    mark = unlisted("predict_eps", lambda xt, x0, t, alpha_bar: right(xt.softmax(-1), x0.round(), t, alpha_bar))
    assert mark.diagnosis == "two things at once: xt is made to sum to one first and x0 is rounded first"


def test_pairs_are_found_where_there_is_one_argument_and_a_plain_float_comes_out(unlisted):
    right = next(iter(find_exercise("latent_scale").alternatives.values()))
    mark = unlisted("latent_scale", lambda z: right(z.sigmoid()) / 2)
    assert "activation" in mark.diagnosis
    assert "half" in mark.diagnosis
