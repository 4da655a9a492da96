"""What hidden checks draw: right answers in any style that a user meets keep their points, whoever wrote them."""

from functools import cache
from unittest.mock import patch

import pytest
import torch
from lesson_answers import all_exercises, mark_here, points_here, replaced, solution
from torch import nn

from autograder.exercise import Exercise, find_exercise
from autograder.notebook import render
from autograder.sandbox.responder import Responder

EXERCISES = all_exercises()
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")
FEW = ("ada", "emmy", "sofia")


def around(exercise: Exercise, change):
    """The solution with every argument changed on its way in; a class with those of its methods."""
    right = solution(exercise.lesson)[exercise.name]
    if isinstance(right, type):
        return right

    def answer(*args, **kwargs):
        return right(*map(change, args), **{key: change(value) for key, value in kwargs.items()})

    return answer


def through_float32(value):
    """A number as somebody holds it who made a tensor of it."""
    return torch.tensor(value).item() if type(value) is float else value


@exercises
def test_numbers_that_went_through_float32_cost_nothing(exercise):
    names = replaced(exercise, around(exercise, through_float32))
    for student in [f"student-{number}" for number in range(20)]:
        assert points_here(exercise, names, student) == exercise.points, render(mark_here(exercise, names, student))


@exercises
def test_gradients_that_a_cell_left_off_change_no_point_and_no_diagnosis(exercise):
    known = exercise.misconceptions[0]
    for function in (solution(exercise.lesson)[exercise.name], known.function):
        names = replaced(exercise, function)
        usual = mark_here(exercise, names, "ada")
        with torch.no_grad():
            off = mark_here(exercise, names, "ada")
            assert not torch.is_grad_enabled()
        assert (off.points, off.diagnosis, off.message) == (usual.points, usual.diagnosis, usual.message)


# ---- right answers


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


# ---- wrong answers, made of the right ones of every exercise


def flattened(value):
    """What a `.view` of the whole tensor does: it raises where the axes lie in another order."""
    if isinstance(value, list | tuple):
        return type(value)(map(flattened, value))
    return value.view(-1).view(value.shape) if type(value) is torch.Tensor and value.ndim > 1 else value


def squeezed(value):
    if isinstance(value, list | tuple):
        return type(value)(map(squeezed, value))
    return value.squeeze() if isinstance(value, torch.Tensor) else value


def cut(value):
    if isinstance(value, list | tuple):
        return type(value)(map(cut, value))
    return value.detach() if isinstance(value, torch.Tensor) else value


def after(exercise: Exercise, change):
    """The solution with its answer changed on the way out."""
    right = solution(exercise.lesson)[exercise.name]
    return lambda *args, **kwargs: change(right(*args, **kwargs))


def spoilt(change, *names):
    """Those exercises with that change, as cases of a test."""
    return [pytest.param(find_exercise(name), change, id=f"{name}: {change.__name__}") for name in names]


# ---- what is asked of every exercise

CONVENTIONS = {"device", "inputs untouched", "order of axes", "float32", "float64", "axis of length 1"}
NO_TENSOR = "no tensor goes in", CONVENTIONS
WHOLE = "whole numbers go in, and what comes out has a dtype of its own", {"float32", "float64"}
TABLE = "a table has two entries at least", {"axis of length 1"}
NOT_DRAWN = {  # why, and what
    **dict.fromkeys(("latent_grid", "conv_mask", "linear_beta", "cosine_alpha_bar", "ddim_times"), NO_TENSOR),
    **dict.fromkeys(("mesh_to_sequence", "timestep_embedding", "perplexity", "next_corner_mask"), WHOLE),
    **dict.fromkeys(("alpha_bar_from_beta", "beta_from_alpha_bar", "variance_after"), TABLE),
    "teacher_forcing_log_prob": ("tokens go in; a model's logits, in either dtype, come from callbacks", WHOLE[1]),
    "VAE": ("a network of float32 weights, as it is trained", {"float64"}),
    "train_step": ("the model's weights say the dtype", {"float32"}),
    "trajectory_gaussian": ("torch.kron, a right tool, refuses matrices in another order", {"order of axes"}),
}


def tensors(value):
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors(item)]
    return [value] if type(value) is torch.Tensor else []


@cache
def asked(exercise_name: str) -> tuple[set[str], bool]:
    """What the right answer is asked, and whether any tensor of several axes goes in."""
    found, several, answer = set(), False, Responder._one

    def look(self, seed, op, **request):
        nonlocal several
        given = tensors(request.get("args", []))
        several |= any(tensor.ndim > 1 and tensor.numel() > 1 for tensor in given)
        ways = {
            "device": op == "elsewhere",
            "inputs untouched": bool(request.get("inputs")),
            "order of axes": any(not tensor.is_contiguous() for tensor in given),
            "float32": any(tensor.dtype == torch.float32 for tensor in given),
            "float64": any(tensor.dtype == torch.float64 for tensor in given),
            "axis of length 1": any(1 in tensor.shape for tensor in given),
        }
        found.update(way for way, holds in ways.items() if holds)
        return answer(self, seed, op, **request)

    with patch.object(Responder, "_one", look):
        exercise = find_exercise(exercise_name)
        points_here(exercise, solution(exercise.lesson), "ada")
    return found, several


@exercises
def test_every_convention_is_asked_of_every_exercise_or_it_is_said_why_not(exercise):
    found, several = asked(exercise.name)
    _, left_out = NOT_DRAWN.get(exercise.name, ("", set()))
    if not several:  # one axis alone has no order
        found, left_out = found | {"order of axes"}, left_out - {"order of axes"}
    assert CONVENTIONS - found == left_out


@exercises
def test_a_view_of_what_may_be_permuted_costs_points(exercise):
    _, left_out = NOT_DRAWN.get(exercise.name, ("", set()))
    if (
        not asked(exercise.name)[1]
        or "order of axes" in left_out
        or isinstance(solution(exercise.lesson)[exercise.name], type)
    ):
        pytest.skip("no tensor whose axes may lie in another order, or a class, of which answers are judged")
    names = replaced(exercise, around(exercise, flattened))
    assert points_here(exercise, names, "ada") < exercise.points


NO_AXIS = {  # whose answers have no axis that may have length 1
    *("linear_beta", "cosine_alpha_bar", "alpha_bar_from_beta", "beta_from_alpha_bar", "variance_after"),
    *("ddim_times", "trajectory_gaussian"),  # two entries at least; the others are single numbers
    *("kl_discrete", "elbo_discrete", "elbo_gap_discrete", "negative_elbo", "train_step", "context_entropy"),
    *("ddpm_loss", "dsm_loss", "flow_matching_loss", "vq_loss", "perplexity", "jensen_shannon", "gan_losses"),
    *("adaptive_weight", "latent_scale", "latent_diffusion_loss", "policy_loss", "planning_loss"),
}


@exercises
def test_a_bare_squeeze_costs_points(exercise):
    if isinstance(solution(exercise.lesson)[exercise.name], type):
        pytest.skip("a class, of which answers are judged")
    changed = []

    def noted(value):
        changed.append([tensor.shape for tensor in tensors(squeezed(value))] != [part.shape for part in tensors(value)])
        return squeezed(value)

    points = points_here(exercise, replaced(exercise, after(exercise, noted)), "ada")
    assert (points < exercise.points) == any(changed) == (exercise.name not in NO_AXIS)


TRAINED = (
    *("log_normal", "elbo_monte_carlo", "reparameterize", "gaussian_kl", "bernoulli_log_likelihood"),
    *("gaussian_log_likelihood", "negative_elbo", "iwae_bound", "q_step", "q_sample", "predict_x0", "predict_eps"),
    *("posterior_mean_from_eps", "normal_kl", "ddpm_loss", "denoising_kl"),
)


@pytest.mark.parametrize(("exercise", "change"), spoilt(cut, *TRAINED))
def test_an_answer_that_cannot_be_trained_costs_points(exercise, change):
    for student in FEW:
        assert points_here(exercise, replaced(exercise, after(exercise, change)), student) < exercise.points


def of_images(value):
    """A tensor of any rank, refused but for those that [:, None] and [:, None, None, None] fit."""
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim in (3, 5):
        raise RuntimeError("neither points nor images")
    return value


OF_ANY_RANK = (
    *("q_step", "q_sample", "prior_kl", "posterior_exponent", "posterior_linear_term", "q_posterior", "predict_x0"),
    *("predict_eps", "posterior_mean_from_eps", "normal_kl", "ddpm_loss", "p_step", "ddim_step", "denoising_kl"),
    *("discretized_log_likelihood", "ddpm_sample", "tweedie", "langevin_step", "reverse_drift", "heun_step"),
    *("dsm_loss", "flow_matching_loss"),
)


@pytest.mark.parametrize(("exercise", "change"), spoilt(of_images, *OF_ANY_RANK))
def test_an_answer_for_points_and_images_alone_costs_points(exercise, change):
    for student in FEW:
        assert points_here(exercise, replaced(exercise, around(exercise, change)), student) < exercise.points


def made_on_the_cpu(value):
    """A tensor to which zeros are added that were made without device=."""
    if isinstance(value, list | tuple):
        return type(value)(map(made_on_the_cpu, value))
    if isinstance(value, torch.Tensor) and value.ndim:
        return value + torch.zeros(value.shape, dtype=value.dtype)
    return value


@exercises
def test_a_tensor_made_on_the_cpu_costs_points_wherever_it_meets_the_inputs(exercise):
    _, left_out = NOT_DRAWN.get(exercise.name, ("", set()))
    if "device" in left_out or isinstance(solution(exercise.lesson)[exercise.name], type):
        pytest.skip("no tensor goes in, or a class, whose weights go along with it")
    names = replaced(exercise, around(exercise, made_on_the_cpu))
    assert points_here(exercise, names, "ada") < exercise.points


def test_a_forgotten_device_is_told_and_named_as_no_mistake_of_values():
    exercise = find_exercise("timestep_embedding")
    right = solution(exercise.lesson)[exercise.name]
    found = mark_here(exercise, replaced(exercise, lambda *given: right(*given) + torch.zeros(1)), "ada")
    assert found.diagnosis is None and "on a GPU this fails" in found.message and "`add`" in found.message


def bounded_e_step(x, weights, means, variances):
    return solution("01-elbo")["e_step"](x, weights.clamp(min=1e-12), means, variances)


def floored_e_step(x, weights, means, variances):
    return solution("01-elbo")["e_step"](x, weights, means, variances.clamp(min=1e-8))


def padded_m_step(x, r):
    totals = r.sum(0) + 1e-10
    means = r.T @ x / totals[:, None]
    return totals / len(x), means, torch.einsum("nk,nkd->kd", r, (x[:, None] - means) ** 2) / totals[:, None]


def clamped_log_normal(x, mean, logvar):
    return solution("01-elbo")["log_normal"](x, mean, logvar.clamp(-10, 10))


def masked(name):
    def answer(p, q):
        first = p if name == "kl_discrete" else q
        keep = first > 1e-12
        return solution("01-elbo")[name](torch.where(keep, p, 0 * p), torch.where(keep, q, 0 * q))

    return answer


def floored_likelihood(x, mean, sigma2):
    return solution("02-vae")["gaussian_log_likelihood"](x, mean, max(sigma2, 1e-8))


def clipped_cosine(T, s=0.008):
    return solution("04-forward")["cosine_alpha_bar"](T, s).clamp(min=1e-8)


def clipped_beta(alpha_bar, max_beta=0.999):
    beta = solution("04-forward")["beta_from_alpha_bar"](alpha_bar, max_beta)
    return torch.cat([beta[:1], beta[1:].clamp(min=1e-4)])


def floored_noise(name):
    def answer(x, t, table, eps):
        bounded = table.clamp(max=1 - 1e-5) if name == "q_sample" else table.clamp(min=1e-8)
        return solution("04-forward")[name](x, t, torch.cat([table[:1], bounded[1:]]), eps)

    return answer


def bounded_prior_kl(x0, alpha_bar_T):
    return solution("04-forward")["prior_kl"](x0, min(alpha_bar_T, 1 - 1e-5))


def floored_variance(t, alpha_bar):
    return torch.where(t > 1, solution("05-posterior")["posterior_variance"](t, alpha_bar).clamp(min=1e-6), 0.0)


def floored_level(name):
    return lambda x, other, t, alpha_bar: solution("05-posterior")[name](x, other, t, alpha_bar.clamp(min=1e-6))


def right(name, *args):
    return solution(find_exercise(name).lesson)[name](*args)


def floored(name, place, least):
    """The right answer with a floor under one of its arguments."""

    def answer(*args):
        bounded = args[place].clamp(min=least) if isinstance(args[place], torch.Tensor) else max(args[place], least)
        return right(name, *args[:place], bounded, *args[place + 1 :])

    return answer


def masked_tables(joint):
    first, *rows = right("chain_rule_tables", joint)
    pasts = [joint.sum(tuple(range(i, joint.ndim)))[..., None] for i in range(1, joint.ndim)]
    return [first, *(torch.where(past > 1e-12, row, 1 / row.shape[-1]) for past, row in zip(pasts, rows, strict=True))]


def padded_entropy(joint, contexts):
    def entropy(kept):
        p = joint.sum([axis for axis in range(joint.ndim) if axis not in kept]) if len(kept) < joint.ndim else joint
        return -(p * (p + 1e-10).log()).sum()

    return sum(entropy({i, *context}) - entropy({*context}) for i, context in enumerate(contexts))


def never_rare(logits, u, temperature=1.0):
    p = logits.softmax(-1)
    rare = torch.where(p > 1e-12, logits, -torch.inf)
    return right("sample_categorical", rare if temperature else logits, u, temperature)


def padded_vq(z, codes, beta=0.25):
    return right("vq_loss", z, codes, beta) + 1e-12


def padded_scale(z):
    return 1 / (1 / right("latent_scale", z) + 1e-8)


def padded_distance(x, y):
    return right("chamfer_distance", x, y) + 1e-12


def padded_match(x, y):
    return right("earth_movers_distance", x, y) + 1e-12


EXTREMES = {
    "chain_rule_tables, masked at 1e-12": ("chain_rule_tables", masked_tables),
    "context_entropy, 1e-10 in a logarithm": ("context_entropy", padded_entropy),
    "sample_categorical, masked at 1e-12": ("sample_categorical", never_rare),
    "tweedie, a floor under the signal": ("tweedie", floored("tweedie", 3, 1e-6)),
    "heun_step, a floor under the signal": ("heun_step", floored("heun_step", 4, 1e-6)),
    "langevin_step, a floor under the step": ("langevin_step", floored("langevin_step", 2, 1e-8)),
    "reverse_drift, a floor under the rate": ("reverse_drift", floored("reverse_drift", 2, 1e-6)),
    "langevin_variance, a floor": ("langevin_variance", floored("langevin_variance", 0, 1e-8)),
    "dsm_loss, a floor under sigma": ("dsm_loss", floored("dsm_loss", 2, 1e-4)),
    "vp_alpha_bar, a floor": ("vp_alpha_bar", lambda *given: right("vp_alpha_bar", *given).clamp(min=1e-8)),
    "renoise, a floor under the signal": ("renoise", floored("renoise", 3, 1e-6)),
    "mixture_eps, a floor under the signal": ("mixture_eps", floored("mixture_eps", -1, 1e-6)),
    "inpaint_step, a floor under the signal": ("inpaint_step", floored("inpaint_step", 5, 1e-6)),
    "ema_codebook, a floor under the counts": ("ema_codebook", floored("ema_codebook", 0, 1e-6)),
    "vq_loss, 1e-12 on a distance": ("vq_loss", padded_vq),
    "latent_scale, 1e-8 on the deviation": ("latent_scale", padded_scale),
    "latent_sample, a floor under the signal": ("latent_sample", floored("latent_sample", 4, 1e-6)),
    "latent_diffusion_loss, a floor": ("latent_diffusion_loss", floored("latent_diffusion_loss", 6, 1e-6)),
    "adaptive_weight, a floor under delta": ("adaptive_weight", floored("adaptive_weight", 2, 1e-8)),
    "reward_guided_eps, a floor under the signal": ("reward_guided_eps", floored("reward_guided_eps", 4, 1e-6)),
    "sds_gradient, a floor under the signal": ("sds_gradient", floored("sds_gradient", 5, 1e-6)),
    "chamfer_distance, 1e-12 on it": ("chamfer_distance", padded_distance),
    "earth_movers_distance, 1e-12 on it": ("earth_movers_distance", padded_match),
    "m_step, 1e-10 on a total": ("m_step", padded_m_step),
    "e_step, a floor under the weights": ("e_step", bounded_e_step),
    "e_step, a floor under the variances": ("e_step", floored_e_step),
    "log_normal, logvar clamped": ("log_normal", clamped_log_normal),
    "kl_discrete, masked at 1e-12": ("kl_discrete", masked("kl_discrete")),
    "elbo_discrete, masked at 1e-12": ("elbo_discrete", masked("elbo_discrete")),
    "elbo_gap_discrete, masked at 1e-12": ("elbo_gap_discrete", masked("elbo_gap_discrete")),
    "gaussian_log_likelihood, a floor": ("gaussian_log_likelihood", floored_likelihood),
    "cosine_alpha_bar, clipped at 1e-8": ("cosine_alpha_bar", clipped_cosine),
    "beta_from_alpha_bar, clipped at 1e-4": ("beta_from_alpha_bar", clipped_beta),
    "q_sample, a floor under the noise": ("q_sample", floored_noise("q_sample")),
    "q_step, a floor under the noise": ("q_step", floored_noise("q_step")),
    "prior_kl, a bound": ("prior_kl", bounded_prior_kl),
    "posterior_variance, a floor": ("posterior_variance", floored_variance),
    "predict_x0, a floor under the signal": ("predict_x0", floored_level("predict_x0")),
    "posterior_mean_from_eps, a floor": ("posterior_mean_from_eps", floored_level("posterior_mean_from_eps")),
}


@pytest.mark.parametrize(("name", "answer"), EXTREMES.values(), ids=EXTREMES.keys())
def test_a_constant_that_matters_at_legal_extremes_costs_points(name, answer):
    exercise = find_exercise(name)
    for student in FEW:
        assert points_here(exercise, replaced(exercise, answer), student) < exercise.points


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
