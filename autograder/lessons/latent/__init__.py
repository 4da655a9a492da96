"""Hidden checks of 09-latent: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "09-latent"
EXERCISES = (
    "quantize",
    "vq_elbo",
    "straight_through",
    "vq_loss",
    "ema_codebook",
    "perplexity",
    "optimal_discriminator",
    "jensen_shannon",
    "gan_losses",
    "adaptive_weight",
    "latent_scale",
    "latent_diffusion_loss",
    "latent_sample",
)
