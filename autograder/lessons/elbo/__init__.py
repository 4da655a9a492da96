"""Hidden checks of 01-elbo: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "01-elbo"
EXERCISES = (
    "kl_discrete",
    "log_normal",
    "log_mean_exp",
    "evidence_monte_carlo",
    "ppca_posterior",
    "elbo_monte_carlo",
    "gaussian_kl_full",
    "elbo_discrete",
    "elbo_gap_discrete",
    "e_step",
    "m_step",
)
