"""Hidden checks of 02-vae: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "02-vae"
EXERCISES = (
    "reparameterize",
    "score_function_gradient",
    "pathwise_gradient",
    "gaussian_kl",
    "bernoulli_log_likelihood",
    "gaussian_log_likelihood",
    "negative_elbo",
    "VAE",
    "train_step",
    "iwae_bound",
    "latent_grid",
    "traverse",
)
