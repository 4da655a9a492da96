"""Hidden checks of 05-posterior: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "05-posterior"
EXERCISES = (
    "posterior_exponent",
    "posterior_precision",
    "posterior_variance",
    "posterior_linear_term",
    "posterior_coefficients",
    "q_posterior",
    "predict_x0",
    "predict_eps",
    "posterior_mean_from_eps",
    "normal_kl",
    "loss_weight_x0",
    "loss_weight_eps",
)
