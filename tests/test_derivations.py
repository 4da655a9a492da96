"""What students shall find stands nowhere above: `autograder.authoring.spoilers` of every lesson, and what it finds."""

from dataclasses import replace
from functools import cache

import pytest

from autograder.authoring.likeness import answers, of_code, of_text
from autograder.authoring.spoilers import given_away, problems
from autograder.authoring.spoken import spoken
from autograder.builder.source import Cell, find_lessons, read_lesson
from autograder.checkout import course_root

LESSONS = {path.parent.name: path for path in find_lessons(course_root(), [])}


@cache
def read(lesson):
    return read_lesson(LESSONS[lesson], course_root()).cells


@pytest.mark.parametrize("name", LESSONS)
def test_no_line_that_a_student_shall_find_stands_above(name):
    assert list(problems(read_lesson(LESSONS[name], course_root()))) == []


def test_a_formula_above_is_found():
    cells = read_lesson(LESSONS["05-posterior"], course_root()).cells
    leaks = [
        Cell("markdown", r"$$\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\,\beta_t$$", 1),
        Cell("code", "k = (1 - now / before) * (1 - before) / (1 - now)", 1),
    ]
    for leak in leaks:
        assert any(
            asked.name == "posterior_variance" and teller is leak for asked, _, teller in given_away((leak, *cells))
        )


NOISED = """def q_sample(x0, t, alpha_bar, eps):
    level = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
    return level.sqrt() * x0 + (1 - level).sqrt() * eps
"""


@pytest.mark.parametrize(
    "telling",
    [
        r"$$x_t = \sqrt{\bar\alpha_t}\;x_0 + \sqrt{1-\bar\alpha_t}\;\epsilon. \tag{21}$$",
        "From clean data to time t at once:  x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.",
        "Then `(1 - alpha_bar[t]) ** 0.5 * noise + alpha_bar[t] ** 0.5 * x0` is the answer.",
    ],
)
def test_an_answer_is_found_in_any_letters(telling):
    (answer,) = answers(NOISED)
    assert any(formula.like(answer) for formula in of_text(telling, frozenset({"x0", "noise"})))


@pytest.mark.parametrize(
    "silent",
    [
        r"$$x_t = \sqrt{\alpha_t}\,x_{t-1} + \sqrt{1-\alpha_t}\,\epsilon_t$$",  # one step, whose letters wear no bar
        "x_t = sqrt(alpha_bar_t) x_0 + (1 - alpha_bar_t) eps",
        "With alpha_bar[t] in shape (B, 1, ..., 1): what is a variance here, and what a standard deviation?",
    ],
)
def test_what_is_no_answer_is_none(silent):
    (answer,) = answers(NOISED)
    assert not any(formula.like(answer) for formula in of_text(silent, frozenset({"x0", "noise"})))


def test_code_that_takes_another_way_is_found():
    (answer,) = answers("def log_snr(alpha_bar):\n    return torch.log(alpha_bar / (1 - alpha_bar))\n")
    other = "def ratio(ab_bar):\n    noise = 1 - ab_bar\n    return ab_bar.log() - torch.log1p(-ab_bar)\n"
    assert any(formula.like(answer) for formula in of_code(other))


def test_a_line_of_matrices_in_a_hint_is_found():
    source = "def posterior(x, W, sigma2):\n    return torch.linalg.inv(torch.eye(2) + W.T @ W / sigma2), x\n"
    (answer,) = answers(source)
    hint = "`torch.linalg.inv(torch.eye(J, dtype=..., device=...) + W.T @ W / sigma2)` is the covariance."
    assert any(formula.like(answer) for formula in of_text(hint, frozenset()))


@pytest.mark.parametrize("place", ["docstring", "hints", "checks"])
def test_an_answer_beside_its_exercise_is_found(place):
    """In the stub's docstring, in the hints below it, and in its own checks."""
    lesson = read_lesson(LESSONS["05-posterior"], course_root())
    at = next(i for i, cell in enumerate(lesson.cells) if cell.name == "predict_x0" and cell.kind == "solution")
    formula = "(xt - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t)"
    position, old, new = {
        "docstring": (at, "x_0 from x_t and", f"{formula}: x_0 from x_t and"),
        "hints": (at + 1, "Hint 3: nearly the line</summary>", f"Hint 3: nearly the line</summary> `{formula}`. "),
        "checks": (at + 2, "# Checks of predict_x0\n", f"# Checks of predict_x0\n# {formula}\n"),
    }[place]
    cells = list(lesson.cells)
    assert old in cells[position].source
    cells[position] = replace(cells[position], source=cells[position].source.replace(old, new))
    found = [(asked.name, teller.line) for asked, _, teller in given_away(tuple(cells))]
    assert ("predict_x0", cells[position].line) in found


LEAKS = {
    "a formula as plain text": ("02-vae", "iwae_bound", Cell("markdown", "It is log (1/K) sum_k w_k.", 1)),
    "a formula in a docstring": (
        "06-sampling",
        "p_step",
        Cell("code", 'def mean():\n    """1 / sqrt(alpha_t) (x_t - beta_t / sqrt(1 - alpha_bar_t) eps_hat)"""', 1),
    ),
    "a library's name for the answer, wrapped": (
        "02-vae",
        "bernoulli_log_likelihood",
        Cell(
            "code", "cost = F.binary_cross_entropy_with_logits(\n    logits, x, reduction='none'\n).sum(-1).mean()", 1
        ),
    ),
}


@pytest.mark.parametrize(("lesson", "name", "leak"), LEAKS.values(), ids=LEAKS)
def test_what_gives_an_answer_away_above_is_found(lesson, name, leak):
    found = [(asked.name, teller) for asked, _, teller in given_away((leak, *read(lesson)))]
    assert (name, leak) in found


def test_a_stubs_own_docstring_is_looked_at():
    told = [
        replace(cell, source=cell.source.replace('"""', '"""log (1/K) sum_k w_k. ', 1))
        if cell.name == "iwae_bound"
        else cell
        for cell in read("02-vae")
    ]
    assert {(asked.name, teller.name) for asked, _, teller in given_away(tuple(told))} == {("iwae_bound", "iwae_bound")}


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"\frac1K \sum_{k=1}^{K} w_k", "(1/K) sum_k w_k"),
        (r"\sqrt{\bar\alpha_s}\, \hat x_0 + \sigma z", "sqrt(alpha_bar_s) x0_hat + sigma z"),
        (r"\mathbb E_q\left[\log \frac{p(x \mid z)}{q(z)}\right]", "log (p(x given z) / q(z))"),
        (r"\tfrac12 \left(\mu_j^2 + \sigma_j^2\right)", "1/2 (mu_j**2 + sigma_j**2)"),
        (r"\tilde\beta_t\, \hat\epsilon(x_t, t)", "beta~_t * eps_hat"),
    ],
)
def test_a_formula_is_spoken_alike_in_latex_and_in_plain_text(latex, plain):
    assert spoken(latex) == spoken(plain) != ""
