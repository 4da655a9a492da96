"""What hidden checks draw: right answers in any style that a user meets keep their points, whoever wrote them."""

from functools import cache
from unittest.mock import patch

import pytest
import torch
from lesson_answers import FEW, all_exercises, everyone, mark_here, points_here, replaced, solution

from autograder.exercise import Exercise, find_exercise
from autograder.notebook import render
from autograder.sandbox.responder import Responder

EXERCISES = all_exercises()
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: f"{exercise.lesson}-{exercise.name}")


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
    for student in everyone(exercise):
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
