"""Answers one by one: right ones of an odd make keep their points, wrong ones that once got full marks lose some."""

import pytest
import torch
from lesson_answers import FEW, points_here, replaced, solution
from torch import nn

from autograder.exercise import find_exercise


class Misspelt(ValueError):
    """An error of somebody's own that is a ValueError."""


class Lazy(nn.Module):
    """A VAE whose layers learn their sizes from the first batch."""

    linear = staticmethod(lambda inputs, outputs: nn.LazyLinear(outputs))
    bend = nn.Tanh

    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        sizes = (data_dim, hidden_dim, 2 * latent_dim), (latent_dim, hidden_dim, data_dim)
        self.encoder, self.decoder = (
            nn.Sequential(self.linear(a, b), self.bend(), self.linear(b, c)) for a, b, c in sizes
        )

    def encode(self, x):
        return self.encoder(x).chunk(2, -1)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        return self.decode(mu + (logvar / 2).exp() * eps), mu, logvar


class Bending(Lazy):
    linear, bend = nn.Linear, nn.PReLU


def own_error(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    if variance not in ("posterior", "beta"):
        raise Misspelt(variance)
    return solution("06-sampling")["p_step"](xt, eps_hat, t, alpha_bar, z, variance)


def leaf_in_float32(f, mu, sigma, eps):
    z = torch.tensor(mu, requires_grad=True) + sigma * eps
    return torch.autograd.grad(f(z).sum(), z)[0]


RIGHT = {
    "a VAE of lazy layers": ("VAE", Lazy),
    "a VAE with nn.PReLU": ("VAE", Bending),
    "an error of one's own that is a ValueError": ("p_step", own_error),
    "mu as a leaf in float32": ("pathwise_gradient", leaf_in_float32),
}


@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:Initializing zero-element")
@pytest.mark.parametrize(("name", "answer"), RIGHT.values(), ids=RIGHT.keys())
def test_a_right_answer_of_another_make_keeps_its_points(name, answer):
    exercise = find_exercise(name)
    for student in [f"student-{number}" for number in range(20)]:
        assert points_here(exercise, replaced(exercise, answer), student) == exercise.points, student


def test_the_courses_own_pathwise_gradient_is_0_for_a_step():
    right = solution("02-vae")["pathwise_gradient"]
    eps = torch.linspace(-2, 2, 7)
    for step in (lambda z: (z > 0).float(), torch.sign, lambda z: torch.ones(7)):
        assert torch.equal(right(step, 0.25, 0.5, eps), torch.zeros(7))


def impossible_columns(name, lesson):
    """Right but where a whole column is -inf, which it takes for NaN."""

    def answer(*values):
        total = values[0] + values[1] - values[2] if len(values) == 3 else values[0]
        return solution(lesson)[name](*values) + 0 * total.max(0).values

    return answer


class Overwriting(Lazy):
    """A VAE that writes into what it is given."""

    linear, bend, place = nn.Linear, nn.Tanh, "x"

    def encode(self, x):
        return super().encode(x.mul_(0.5) if self.place == "x" else x)

    def decode(self, z):
        return super().decode(z.mul_(0.5) if self.place == "z" else z)

    def forward(self, x, eps):
        mu, logvar = super().encode(x.mul(0.5) if self.place == "x" else x)
        if self.place == "x":
            x.mul_(0.5)
        z = mu + (eps.mul_((logvar / 2).exp()) if self.place == "eps" else (logvar / 2).exp() * eps)
        return self.decode(z), mu, logvar


def overwriting(part):
    return type("Overwriting", (Overwriting,), {"place": part})


def writing_step(model, optimizer, x, eps, beta=1.0):
    loss = solution("02-vae")["train_step"](model, optimizer, x, eps, beta)
    x.add_(1.0)
    return loss


def plain_root(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    now, then = alpha_bar[t], alpha_bar[s]
    sigma = eta * ((1 - then) / (1 - now) * (1 - now / then)).sqrt()
    x0 = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    xs = then.sqrt() * x0 + (1 - then - sigma**2).sqrt() * eps_hat
    return xs + sigma * z if eta > 0 else xs


def worded(change):
    def answer(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
        return solution("06-sampling")["p_step"](xt, eps_hat, t, alpha_bar, z, change(variance))

    return answer


def known_word(rule):
    return lambda word: next((known for known in ("posterior", "beta") if rule(known, word)), word)


def graph_kept(model, x_T, alpha_bar, noise):
    with torch.no_grad():
        x = solution("06-sampling")["ddpm_sample"](model, x_T, alpha_bar, noise)
    weight = getattr(model, "weight", None)
    return x if weight is None else x + 0 * weight.to(x.dtype)


def estimates_with_a_graph(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z, create_graph=True)[0] + 0 * z


SINGLE = {
    "a column of -inf, evidence_monte_carlo": (
        "evidence_monte_carlo",
        impossible_columns("evidence_monte_carlo", "01-elbo"),
    ),
    "a column of -inf, iwae_bound": ("iwae_bound", impossible_columns("iwae_bound", "02-vae")),
    "a VAE that writes into x": ("VAE", overwriting("x")),
    "a VAE that writes into z": ("VAE", overwriting("z")),
    "a VAE that writes into eps": ("VAE", overwriting("eps")),
    "a step that writes into x": ("train_step", writing_step),
    "a plain root in float32": ("ddim_step", plain_root),
    "a word by its prefix": ("p_step", worded(known_word(lambda known, word: word and known.startswith(word)))),
    "a word by its beginning": ("p_step", worded(known_word(lambda known, word: word.startswith(known)))),
    "a word in any case": ("p_step", worded(str.lower)),
    "no word at all": ("p_step", worded(lambda word: word or "posterior")),
    "a walk that keeps a graph": ("ddpm_sample", graph_kept),
    "estimates that keep a graph": ("pathwise_gradient", estimates_with_a_graph),
}


@pytest.mark.parametrize(("name", "answer"), SINGLE.values(), ids=SINGLE.keys())
def test_what_once_got_full_marks_costs_points(name, answer):
    exercise = find_exercise(name)
    for student in FEW:
        assert points_here(exercise, replaced(exercise, answer), student) < exercise.points
