"""The loss: `negative_elbo`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal, kl_divergence

from ...conventions import ones
from ...exercise import exercise


@exercise("negative_elbo", points=2, after=("gaussian_kl", "bernoulli_log_likelihood"))
def negative_elbo(student, case):
    """mean_b [-log p(x_b | z_b) + beta KL_b] with a Bernoulli decoder: (B, D) twice, (B, J) twice -> (), in nats."""
    log_likelihood, kl = case.upstream("bernoulli_log_likelihood"), case.upstream("gaussian_kl")

    def truth(x, logits, mu, logvar, beta=1.0):
        return -log_likelihood(x, logits).mean() + beta * kl(mu, logvar).mean()

    batch, pixels, latent = case.sizes(3, low=3)
    x, logits = case.uniform(batch, pixels), 2 * case.normal(batch, pixels)
    mu, logvar = case.normal(batch, latent), case.normal(batch, latent) - 0.5
    given = (x, logits, mu, logvar)
    one = tuple(tensor[:1] for tensor in given)
    beta = case.number(1.5, 4.0)
    case.expect(student(*given), truth(*given), "value, beta left out", points=0.5)
    case.expect(
        [student(*given, beta), student(*given, beta=0.0)],
        [truth(*given, beta), truth(*given, 0.0)],
        "beta weighs the KL alone",
        points=0.5,
    )
    case.expect(
        [student(*one), student(x, 45 * logits, mu, logvar)],
        [truth(*one), truth(x, 45 * logits, mu, logvar)],
        "one example; logits far from 0",
        points=0.25,
    )
    share = torch.full((batch,), 1.0 / batch, dtype=x.dtype)
    case.expect(
        student.gradient(*given, beta, weights=[torch.ones((), dtype=x.dtype)], wrt=[1, 2, 3]),
        [
            *case.unpack(log_likelihood.gradient(x, logits, weights=[-share], wrt=[1]), "logits"),
            *case.unpack(kl.gradient(mu, logvar, weights=[beta * share], wrt=[0, 1]), "mu", "logvar"),
        ],
        "gradients with respect to logits, mu and logvar",
        points=0.5,
        hint="the loss must stay connected to all three: no detach, no torch.no_grad, no .item()",
    )
    narrow, wide = (x, logits, mu, logvar - 45), (x, logits, mu, logvar + 25)
    case.conventions(student, (*given, beta), truth, points=0.25, also=[ones(given), narrow, wide])


@negative_elbo.truth
def truth(x, logits, mu, logvar, beta=1.0):
    log_likelihood = Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)
    divergence = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    return (beta * divergence - log_likelihood).mean()


def _cross_entropy(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def _divergence(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


@negative_elbo.misconception(
    "the KL is subtracted",
    hint="ELBO = E log p(x|z) - KL, so the negative ELBO adds the KL. Subtracted, it could fall without limit.",
)
def kl_is_subtracted(x, logits, mu, logvar, beta=1.0):
    return (_cross_entropy(x, logits).sum(-1) - beta * _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.misconception(
    "the ELBO instead of its negative",
    hint="Optimisers go downhill: return -log p(x|z) + beta KL, which is to be made small.",
)
def elbo_instead_of_its_negative(x, logits, mu, logvar, beta=1.0):
    return -(_cross_entropy(x, logits).sum(-1) + beta * _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.misconception(
    "the reconstruction is averaged over the pixels",
    hint="Sum the log-likelihood over the D pixels, as the KL is summed over the J latents. Averaged, the KL weighs D "
    "times too much and the code collapses.",
)
def reconstruction_is_averaged_over_pixels(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).mean() + beta * _divergence(mu, logvar).sum(-1).mean()


@negative_elbo.misconception(
    "the KL is averaged over the latent dimensions",
    hint="The KL is a sum over the J latent dimensions; only the batch is averaged.",
)
def kl_is_averaged_over_latent_dimensions(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).sum(-1).mean() + beta * _divergence(mu, logvar).mean()


@negative_elbo.misconception(
    "everything is averaged",
    hint="Nats per example: sum over pixels and over latent dimensions, then average over the batch alone. The two "
    "means divide by different numbers, so this is not just another unit.",
)
def everything_is_averaged(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).mean() + beta * _divergence(mu, logvar).mean()


@negative_elbo.misconception(
    "the KL is divided by the number of pixels too",
    hint="A line from a widely copied example: KL / (B D) goes with a reconstruction averaged over the pixels. Yours "
    "is summed, so the KL must be summed as well.",
)
def kl_is_divided_by_number_of_pixels_too(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).sum(-1).mean() + beta * _divergence(mu, logvar).sum() / x.numel()


@negative_elbo.misconception(
    "summed over the batch",
    hint="Average over the batch, or the loss and its gradient grow with the batch size.",
)
def summed_over_batch(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).sum() + beta * _divergence(mu, logvar).sum()


@negative_elbo.misconception(
    "the reconstruction summed over the batch, the KL averaged",
    hint="Both terms are averages over the batch. Check with a batch that holds every example twice: the loss must not "
    "change.",
)
def reconstruction_summed_over_batch_kl_averaged(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).sum() + beta * _divergence(mu, logvar).sum(-1).mean()


@negative_elbo.misconception(
    "beta is ignored",
    hint="The KL is multiplied by beta; its default 1 gives the plain ELBO.",
)
def beta_is_ignored(x, logits, mu, logvar, beta=1.0):
    return (_cross_entropy(x, logits).sum(-1) + _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.misconception(
    "beta weighs the reconstruction",
    hint="beta stands before the KL: a large beta presses the posterior towards the prior.",
)
def beta_weighs_reconstruction(x, logits, mu, logvar, beta=1.0):
    return (beta * _cross_entropy(x, logits).sum(-1) + _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.misconception(
    "beta weighs both terms",
    hint="beta stands before the KL alone; before both it is only a learning rate.",
)
def beta_weighs_both_terms(x, logits, mu, logvar, beta=1.0):
    return beta * (_cross_entropy(x, logits).sum(-1) + _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.misconception(
    "the loss of every example instead of their mean",
    hint="One number for the batch: take the mean over the B examples at the very end.",
)
def loss_of_every_example_instead_of_their_mean(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).sum(-1) + beta * _divergence(mu, logvar).sum(-1)


@negative_elbo.misconception(
    "the loss cannot be differentiated",
    hint="The value is right, but it was cut off from the graph (detach, no_grad or .item()): backward would find "
    "nothing to do, and the network would never learn.",
)
def loss_cannot_be_differentiated(x, logits, mu, logvar, beta=1.0):
    return (_cross_entropy(x, logits).sum(-1) + beta * _divergence(mu, logvar).sum(-1)).mean().detach()


@negative_elbo.misconception(
    "the KL does not train the encoder",
    hint="The KL was cut off from the graph: nothing would keep the codes near the prior.",
)
def kl_does_not_train_encoder(x, logits, mu, logvar, beta=1.0):
    return (_cross_entropy(x, logits).sum(-1) + beta * _divergence(mu, logvar).sum(-1).detach()).mean()


@negative_elbo.misconception(
    "the sigmoid is applied twice",
    hint="The likelihood takes logits: hand them on as they are.",
)
def sigmoid_is_applied_twice(x, logits, mu, logvar, beta=1.0):
    return (_cross_entropy(x, torch.sigmoid(logits)).sum(-1) + beta * _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.misconception(
    "squared error as the reconstruction",
    hint="The decoder is a Bernoulli: its reconstruction term is -log p(x|z), the cross-entropy. Squared error "
    "belongs to a Gaussian decoder.",
)
def squared_error_as_reconstruction(x, logits, mu, logvar, beta=1.0):
    error = (x - torch.sigmoid(logits)) ** 2
    return (error.sum(-1) + beta * _divergence(mu, logvar).sum(-1)).mean()


@negative_elbo.alternative("two means")
def two_means(x, logits, mu, logvar, beta=1.0):
    return _cross_entropy(x, logits).sum(1).mean() + beta * _divergence(mu, logvar).sum(1).mean()


@negative_elbo.alternative("sums divided by the batch size")
def sums_divided_by_batch_size(x, logits, mu, logvar, beta=1.0):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (reconstruction + beta * kl) / x.size(0)


@negative_elbo.alternative("minus the ELBO, example by example")
def minus_elbo_example_by_example(x, logits, mu, logvar, beta=1.0):
    elbos = []
    for b in range(len(x)):
        log_p = (x[b] * F.logsigmoid(logits[b]) + (1 - x[b]) * F.logsigmoid(-logits[b])).sum()
        elbos.append(log_p - beta * _divergence(mu[b], logvar[b]).sum())
    return -torch.stack(elbos).mean()
