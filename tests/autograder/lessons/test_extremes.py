"""Small constants and clamps that matter at legal extremes: each of these answers loses points."""

import pytest
import torch
from lesson_answers import FEW, points_here, replaced, solution

from autograder.exercise import find_exercise


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
