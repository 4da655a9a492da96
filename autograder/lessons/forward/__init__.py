"""Hidden checks of 04-forward: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "04-forward"
EXERCISES = (
    "linear_beta",
    "alpha_bar_from_beta",
    "q_step",
    "q_sample",
    "cosine_alpha_bar",
    "beta_from_alpha_bar",
    "log_snr",
    "prior_kl",
    "to_course_convention",
    "variance_after",
)
