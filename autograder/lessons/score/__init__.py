"""Hidden checks of 07-score: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "07-score"
EXERCISES = (
    "divergence",
    "dsm_loss",
    "tweedie",
    "langevin_step",
    "langevin_variance",
    "annealed_langevin",
    "vp_alpha_bar",
    "reverse_drift",
    "euler_maruyama",
    "heun_step",
    "flow_matching_loss",
    "ode_log_likelihood",
)
