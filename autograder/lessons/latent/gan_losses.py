"""What the critic minimises, and what the generator does: `gan_losses`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli

from ...exercise import exercise
from ...sandbox.wire import Source
from .shared import flows

# A critic that is its own weights: a tensor that can be called. So the losses can be differentiated in them.
TRAINABLE = """
class Weights(torch.Tensor):
    def __call__(self, x):
        a, b, c = self.as_subclass(torch.Tensor).to(x.dtype)
        return a * x.sum(-1) + b * (x**2).sum(-1) + c

critic = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""


@exercise("gan_losses", points=2)
def gan_losses(student, case):
    """(d_loss, g_loss): mean(-log D) over real + mean(-log(1 - D)) over fake; mean(-log D) over fake."""
    truth = gan_losses.oracle
    dim = case.integer(3, 5)
    real = case.normal(case.integer(6, 8), dim) + 0.7
    fake = case.normal(case.integer(3, 5), dim) - 0.4
    weights = [case.number(low, low + 0.4) for low in (0.3, -0.5, 0.2)]

    def critic(x):
        return weights[0] * x.sum(-1) + weights[1] * (x**2).sum(-1) + weights[2]

    def patches(x):
        return torch.stack([x[:, :-1] * weights[0], x[:, 1:] * weights[1] - 0.3], 1)

    def sure(x):
        return 1e4 * x[:, 0].tanh().sign()

    case.expect(student(critic, real, fake), truth(critic, real, fake), "both losses, unequal batches", points=0.5)
    case.expect(
        [student(patches, real, fake), student(sure, real, fake), student(critic, real[:1], fake[:1])],
        [truth(patches, real, fake), truth(sure, real, fake), truth(critic, real[:1], fake[:1])],
        "many logits an image, logits of 10,000, one of each",
        points=0.25,
    )
    trained = Source(TRAINABLE.format(weights=weights), "critic")
    one = torch.ones((), dtype=torch.float64)
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)

    def same(x):
        return leaf[0] * x.sum(-1) + leaf[1] * (x**2).sum(-1) + leaf[2]

    own, theirs = real.clone().requires_grad_(), fake.clone().requires_grad_()
    to_critic = torch.autograd.grad(truth(same, own, theirs)[0], [leaf, own])
    (to_fake,) = torch.autograd.grad(truth(same, own, theirs)[1], theirs)
    like = [leaf.detach(), real, fake]
    case.expect(
        flows(student.gradient(trained, real, fake, weights=[one, None], wrt=[0, 1, 2]), *like),
        [*to_critic, torch.zeros_like(fake)],
        "d_loss: the critic learns from real and fake, and nothing reaches the fakes",
        points=0.5,
    )
    case.expect(
        student.gradient(trained, real, fake, weights=[None, one], wrt=[2]),
        [to_fake],
        "g_loss: its gradient reaches the fakes",
        points=0.5,
    )
    case.conventions(student, (trained, real, fake), truth, points=0.25)


@gan_losses.truth
def truth(discriminator, real, fake):
    """Log-probabilities of a coin with these logits: real ones are 1, fakes 0, and the generator wants 1."""
    on_real, on_fake, wanted = (discriminator(x) for x in (real, fake.detach(), fake))

    def surprise(logits, outcome):
        return -Bernoulli(logits=logits).log_prob(torch.full_like(logits, outcome)).mean()

    return surprise(on_real, 1.0) + surprise(on_fake, 0.0), surprise(wanted, 1.0)


@gan_losses.alternative("binary cross entropy with logits")
def cross_entropy_with_logits(discriminator, real, fake):
    bce = F.binary_cross_entropy_with_logits
    a, b, c = discriminator(real), discriminator(fake.detach()), discriminator(fake)
    return bce(a, torch.ones_like(a)) + bce(b, torch.zeros_like(b)), bce(c, torch.ones_like(c))


@gan_losses.alternative("real and fake in one batch")
def one_batch(discriminator, real, fake):
    first, second = discriminator(torch.cat([real, fake.detach()])).split([len(real), len(fake)])
    d_loss = F.softplus(-first).mean() + F.softplus(second).mean()
    return d_loss, F.softplus(-discriminator(fake)).mean()


@gan_losses.alternative("logsigmoid")
def by_logsigmoid(discriminator, real, fake):
    d_loss = -F.logsigmoid(discriminator(real)).mean() - F.logsigmoid(-discriminator(fake.detach())).mean()
    return d_loss, -F.logsigmoid(discriminator(fake)).mean()


@gan_losses.alternative("the logarithm of 1 + e^a, by logaddexp")
def by_logaddexp(discriminator, real, fake):
    def price(logits):
        return torch.logaddexp(logits, torch.zeros_like(logits)).mean()

    return price(-discriminator(real)) + price(discriminator(fake.detach())), price(-discriminator(fake))


def _losses(discriminator, real, fake):
    return (
        F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake.detach())).mean(),
        F.softplus(-discriminator(fake)).mean(),
    )


@gan_losses.misconception(
    "the generator minimises log(1 - D)",
    hint="That is the minimax loss, which is flat where the critic is sure. Non-saturating means mean(-log D) over the "
    "fakes.",
)
def minimax_generator(discriminator, real, fake):
    return _losses(discriminator, real, fake)[0], -F.softplus(discriminator(fake)).mean()


@gan_losses.misconception("d_loss is halved", hint="The two means are added, and nothing is halved.")
def d_loss_halved(discriminator, real, fake):
    d_loss, g_loss = _losses(discriminator, real, fake)
    return d_loss / 2, g_loss


@gan_losses.misconception(
    "the critic's loss trains the generator",
    hint="A gradient of d_loss reaches the fakes: the generator would learn to help the critic. Show it fake.detach().",
)
def d_loss_reaches_fakes(discriminator, real, fake):
    logits = discriminator(fake)
    return F.softplus(-discriminator(real)).mean() + F.softplus(logits).mean(), F.softplus(-logits).mean()


@gan_losses.misconception(
    "the critic learns nothing from the fakes",
    hint="The fakes are cut off, not the critic's answer to them: discriminator(fake.detach()), and no no_grad.",
)
def nothing_from_fakes(discriminator, real, fake):
    with torch.no_grad():
        logits = discriminator(fake)
    return F.softplus(-discriminator(real)).mean() + F.softplus(logits).mean(), _losses(discriminator, real, fake)[1]


@gan_losses.misconception(
    "the generator gets no gradient",
    hint="g_loss needs the critic's answer to the fakes themselves, connected: no detach there.",
)
def generator_gets_no_gradient(discriminator, real, fake):
    return _losses(discriminator, real, fake.detach())


@gan_losses.misconception(
    "logits are taken for probabilities",
    hint="The discriminator gives logits, from minus to plus infinity. D is their sigmoid.",
)
def logits_for_probabilities(discriminator, real, fake):
    first, second = discriminator(real), discriminator(fake.detach())
    return -first.log().mean() - (1 - second).log().mean(), -discriminator(fake).log().mean()


@gan_losses.misconception(
    "the logarithm of the sigmoid overflows",
    hint="sigmoid(a) rounds to 0 or 1 for large logits, and its logarithm to infinity. softplus and logsigmoid hold.",
)
def logarithm_of_sigmoid(discriminator, real, fake):
    first, second = discriminator(real).sigmoid(), discriminator(fake.detach()).sigmoid()
    return -first.log().mean() - (1 - second).log().mean(), -discriminator(fake).sigmoid().log().mean()


@gan_losses.misconception(
    "a clamp keeps the logarithm finite",
    hint="With a floor under the probabilities large logits cost too little, and their gradient is gone. Work with the "
    "logits.",
)
def clamped_logarithm(discriminator, real, fake):
    first, second, third = (discriminator(x).sigmoid().clamp(1e-7, 1 - 1e-7) for x in (real, fake.detach(), fake))
    return -first.log().mean() - (1 - second).log().mean(), -third.log().mean()


@gan_losses.misconception(
    "real and fake are exchanged",
    hint="D is the probability of real: -log D over the real ones, -log(1 - D) over the fakes.",
)
def real_and_fake_exchanged(discriminator, real, fake):
    d_loss = F.softplus(discriminator(real)).mean() + F.softplus(-discriminator(fake.detach())).mean()
    return d_loss, F.softplus(-discriminator(fake)).mean()


@gan_losses.misconception(
    "sums in place of means", hint="Mean over the logits of each batch, so that its size does not matter."
)
def sums_in_place_of_means(discriminator, real, fake):
    d_loss = F.softplus(-discriminator(real)).sum() + F.softplus(discriminator(fake.detach())).sum()
    return d_loss, F.softplus(-discriminator(fake)).sum()


@gan_losses.misconception(
    "one mean over both batches",
    hint="Real and fake are averaged by themselves, then added: they may differ in length.",
)
def one_mean_over_both(discriminator, real, fake):
    prices = torch.cat([F.softplus(-discriminator(real)), F.softplus(discriminator(fake.detach()))])
    return prices.mean(), F.softplus(-discriminator(fake)).mean()


@gan_losses.misconception(
    "the losses are exchanged", hint="The critic's loss comes first, then the generator's: return d_loss, g_loss."
)
def losses_exchanged(discriminator, real, fake):
    return _losses(discriminator, real, fake)[::-1]


@gan_losses.misconception(
    "the critic's value in place of its loss",
    hint="A loss is minimised: the critic's is minus the sum of the two mean logarithms.",
)
def value_in_place_of_loss(discriminator, real, fake):
    d_loss, g_loss = _losses(discriminator, real, fake)
    return -d_loss, g_loss


@gan_losses.misconception(
    "the hinge loss", hint="The hinge is another critic's loss. Asked are the logarithms of D and 1 - D."
)
def hinge_loss(discriminator, real, fake):
    d_loss = (1 - discriminator(real)).relu().mean() + (1 + discriminator(fake.detach())).relu().mean()
    return d_loss, -discriminator(fake).mean()
