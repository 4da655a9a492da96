"""Makers by family: masks, functions that are asked, noise, forms of the result, counts, modules; and what is plain at
the first reply that differs.
"""

import pytest
from lesson_answers import mark_here, replaced

from autograder.exercise import find_exercise

KNOWN = [
    ("planning_loss", "the mask is turned round", "mask is turned round"),
    ("planning_loss", "the mask is not used", "mask is not used"),
    ("planning_loss", "the plans are overwritten", "an input is overwritten"),
    ("policy_loss", "observation and time change places", "handed over in another order"),
    ("ddpm_sample", "the model sees x_T at every step", "asked with x_T"),
    ("ddpm_sample", "the same noise at every step", "one entry of noise"),
    ("ddpm_sample", "gradients are recorded", "gradients are recorded"),
    ("ddpm_sample", "new noise is drawn inside", "fresh noise is drawn in place of noise"),
    ("euler_maruyama", "the same noise at every step", "first entry of noise"),
    ("ddpm_sample", "noise of variance beta_t", "variance beta_t"),
    ("p_step", "x_0 is clipped", "predicted x_0 is clipped"),
    ("ddpm_loss", "the model's answer is compared with x_0", "compared with x0 in place of eps"),
    ("cfg_eps", "w taken for the scale s", "w - 1"),
    ("straight_through", "a gradient reaches the codes", "a gradient reaches codes"),
    ("vq_loss", "nothing is cut off", "their gradient is not"),
    ("latent_scale", "a tensor in place of a float", "a tensor in place of a plain number"),
    ("q_step", "alpha_bar in place of alpha", "running product"),
    ("q_step", "the coefficients meet the wrong axis", "coefficients meet the wrong axis"),
    ("variance_after", "only the last variance is returned", "only the last"),
    ("m_step", "hard assignment", "takes all"),
    ("AdaptiveNorm", "an activation before the Linear", "activation"),
    ("AdaptiveNorm", "the Linear has no bias", "a parameter is missing"),
    ("SetLinear", "pooled has a bias of its own", "a parameter too many"),
    ("Pseudo3DConv", "the first tap is 1", "starts from other values"),
    ("VAE", "the results of forward in another order", "parts of the result are exchanged"),
    ("VAE", "the decoder ends in a sigmoid", "an activation follows decoder"),
]


@pytest.mark.parametrize(("name", "listed", "word"), KNOWN, ids=[f"{name}-{listed}" for name, listed, _ in KNOWN])
def test_a_listed_mistake_is_found_again_without_the_list(name, listed, word):
    exercise = find_exercise(name)
    function = next(known.function for known in exercise.misconceptions if known.name == listed)
    kept = list(exercise.misconceptions)
    exercise.misconceptions.clear()
    try:
        told = mark_here(exercise, replaced(exercise, function), "ada").diagnosis
    finally:
        exercise.misconceptions.extend(kept)
    assert told is not None and word in told
