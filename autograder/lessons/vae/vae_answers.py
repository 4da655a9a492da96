"""Wrong and right `VAE`s that the checks are tested with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .vae import vae


class _Plain(nn.Module):
    """The usual answer; each mistake below overrides one part of it."""

    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, 2 * latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, data_dim))

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, logvar

    def decode(self, z):
        return self.decoder(z)

    def sample(self, mu, logvar, eps):
        return mu + torch.exp(logvar / 2) * eps

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        return self.decode(self.sample(mu, logvar, eps)), mu, logvar


@vae.misconception(
    "the variance multiplies the noise",
    hint="In forward the noise is scaled by exp(logvar), the variance. Use your reparameterize, which takes the root.",
)
class VarianceTimesNoise(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        head = self.encoder[-1]
        assert isinstance(head, nn.Linear)
        with torch.no_grad():  # sigma = 1 at first, where the mistake does not show
            head.weight[latent_dim:] = 0
            head.bias[latent_dim:] = 0

    def sample(self, mu, logvar, eps):
        return mu + logvar.exp() * eps


@vae.misconception(
    "the noise is ignored",
    hint="forward decodes mu itself. That is a plain autoencoder: without noise nothing makes neighbouring codes mean "
    "similar things, and the KL term loses its sense.",
)
class NoiseIgnored(_Plain):
    def sample(self, mu, logvar, eps):
        return mu


@vae.misconception(
    "forward draws its own noise",
    hint="forward is given eps; use it. Fresh noise drawn inside makes the result impossible to repeat or to check.",
)
class OwnNoise(_Plain):
    def sample(self, mu, logvar, eps):
        return mu + torch.exp(logvar / 2) * torch.randn_like(mu)


@vae.misconception(
    "sigma is left out of z",
    hint="forward decodes mu + eps: the encoder's logvar has no say in how far the code is moved.",
)
class NoSigma(_Plain):
    def sample(self, mu, logvar, eps):
        return mu + eps


@vae.misconception(
    "the decoder ends in a sigmoid",
    hint="decode returns logits; the likelihood applies the sigmoid itself, in a form that stays exact far out. With a "
    "sigmoid here it would be applied twice.",
)
class SigmoidDecoder(_Plain):
    def decode(self, z):
        return torch.sigmoid(self.decoder(z))


@vae.misconception(
    "forward returns probabilities",
    hint="forward returns the decoder's logits as they are; the likelihood applies the sigmoid.",
)
class ForwardGivesProbabilities(_Plain):
    def forward(self, x, eps):
        logits, mu, logvar = super().forward(x, eps)
        return torch.sigmoid(logits), mu, logvar


@vae.misconception(
    "an activation after the encoder's last layer",
    hint="mu and logvar must be free to be negative: the last layer is linear, with no ReLU behind it.",
)
class ReluEncoder(_Plain):
    def encode(self, x):
        mu, logvar = F.relu(self.encoder(x)).chunk(2, dim=-1)
        return mu, logvar


@vae.misconception(
    "a log-variance that is never negative",
    hint="A variance must be positive, its logarithm need not be. With logvar >= 0 the posterior could never be "
    "narrower than the prior, and could say next to nothing about x.",
)
class SoftplusLogvar(_Plain):
    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, F.softplus(logvar)


@vae.misconception(
    "the log-variance is clamped",
    hint="Outside the clamp's range the gradient is zero and the encoder is stuck. The last layer is linear, nothing "
    "follows it.",
)
class ClampedLogvar(_Plain):
    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, logvar.clamp(-10, 10)


@vae.misconception(
    "encode returns sigma instead of logvar",
    hint="encode's second result is log sigma^2, straight from a linear layer. KL and reparameterize expect it so.",
)
class SigmaForLogvar(_Plain):
    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, torch.exp(logvar / 2)

    def sample(self, mu, logvar, eps):
        return mu + logvar * eps


@vae.misconception(
    "one head for both mu and logvar",
    hint="Mean and variance are two different things to know about x: give each its own linear layer, or make one "
    "layer twice as wide and split it.",
)
class OneHead(_Plain):
    def encode(self, x):
        mu, _ = super().encode(x)
        return mu, mu


@vae.misconception(
    "one logvar for all latents",
    hint="Each latent has its own spread: the encoder gives J log-variances for each image, not one that is copied.",
)
class OneLogvar(_Plain):
    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu, logvar[:, :1].expand(-1, logvar.shape[1])


@vae.misconception(
    "the log-variance does not depend on the image",
    hint="The encoder answers with a mean and a log-variance for each image, both from x. A parameter of its own would "
    "give all images the same spread.",
)
class FreeLogvar(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        self.logvar = nn.Parameter(torch.zeros(latent_dim))

    def encode(self, x):
        mu, _ = super().encode(x)
        return mu, self.logvar.expand_as(mu)


@vae.misconception(
    "no activation between the layers",
    hint="Linear layers in a row are one linear layer: the model could do no more than principal components do. Put an "
    "activation behind every hidden layer.",
)
class NoActivation(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        self.encoder[1] = self.decoder[1] = nn.Identity()


@vae.misconception(
    "no hidden layer in the decoder",
    hint="A single linear layer from z to the logits can only add up J fixed images. Put a hidden layer of hidden_dim "
    "with an activation before it.",
)
class LinearDecoder(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, data_dim))


@vae.misconception(
    "the results of forward in another order",
    hint="forward returns (logits, mu, logvar), in this order.",
)
class OtherOrder(_Plain):
    def forward(self, x, eps):
        logits, mu, logvar = super().forward(x, eps)
        return mu, logvar, logits


@vae.misconception(
    "the reconstruction does not train the encoder",
    hint="z was cut off from the graph (detach, no_grad or .sample()), so the encoder learns from the KL alone and "
    "forgets x.",
)
class DetachedCode(_Plain):
    def sample(self, mu, logvar, eps):
        return super().sample(mu, logvar, eps).detach()


@vae.misconception(
    "no gradient reaches logvar",
    hint="The reconstruction trains mu alone: logvar was cut off from the graph. The encoder must also learn how much "
    "noise the decoder can stand.",
)
class DetachedSigma(_Plain):
    def sample(self, mu, logvar, eps):
        return super().sample(mu, logvar.detach(), eps)


@vae.misconception(
    "dropout",
    hint="Dropout makes mu, logvar and logits random on top of eps, so that the loss is no longer a function of (x, "
    "eps).",
)
class Dropout(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        for net in (self.encoder, self.decoder):
            net.insert(2, nn.Dropout(0.3))


@vae.misconception(
    "dropout in one of the two networks",
    hint="Dropout makes the answers random on top of eps, so that the loss is no longer a function of (x, eps).",
)
class DropoutOnce(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        self.encoder.insert(2, nn.Dropout(0.3))


@vae.misconception(
    "batch normalisation",
    hint="Batch normalisation mixes the examples of a batch: the code of an image would depend on its neighbours, and "
    "one image alone could not be encoded.",
)
class BatchNorm(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        for net in (self.encoder, self.decoder):
            net.insert(1, nn.BatchNorm1d(hidden_dim))


@vae.misconception(
    "encoder and decoder share weights",
    hint="q_phi and p_theta have different parameters. Weights used in both would have to serve two purposes at once.",
)
class TiedWeights(_Plain):
    def decode(self, z):
        return self.decoder[0](z) @ self.encoder[0].weight


@vae.misconception(
    "layers in a plain list",
    hint="nn.Module does not look into a Python list: the optimiser never sees those weights and they stay random. Use "
    "nn.ModuleList or nn.Sequential.",
)
class PlainList(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, hidden_dim, latent_dim)
        self.hidden = [nn.Linear(hidden_dim, hidden_dim)]
        self.output = nn.Linear(hidden_dim, data_dim)

    def decode(self, z):
        h = self.decoder[:2](z)
        for layer in self.hidden:
            h = F.silu(layer(h))
        return self.output(h)


@vae.misconception(
    "the hidden width is written as a number",
    hint="hidden_dim is an argument: both networks take their width from it.",
)
class FixedWidth(_Plain):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__(data_dim, 256, latent_dim)


@vae.alternative("one head, chunked")
class Chunked(_Plain):
    pass


@vae.alternative("separate heads, ReLU, three layers, ModuleList")
class SeparateHeads(nn.Module):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        self.enc = nn.ModuleList([nn.Linear(data_dim, hidden_dim), nn.Linear(hidden_dim, hidden_dim)])
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_logvar = nn.Linear(hidden_dim, latent_dim, bias=False)
        self.dec = nn.ModuleList([nn.Linear(latent_dim, hidden_dim), nn.Linear(hidden_dim, hidden_dim)])
        self.out = nn.Linear(hidden_dim, data_dim)

    def encode(self, x):
        for layer in self.enc:
            x = F.relu(layer(x))
        return self.fc_mu(x), self.fc_logvar(x)

    def decode(self, z):
        for layer in self.dec:
            z = F.relu(layer(z))
        return self.out(z)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        std = (0.5 * logvar).exp()
        return [self.decode(std * eps + mu), mu, logvar]


@vae.alternative("tanh, layer norm, submodules with zero-initialised heads")
class NormsAndDicts(nn.Module):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        body = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.LayerNorm(hidden_dim), nn.Tanh())
        mu, logvar = nn.Linear(hidden_dim, latent_dim), nn.Linear(hidden_dim, latent_dim)
        nn.init.zeros_(logvar.weight)
        nn.init.constant_(logvar.bias, -1.0)
        self.q = nn.ModuleDict({"body": body, "mu": mu, "logvar": logvar})
        self.p = nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, data_dim))

    def encode(self, x):
        h = self.q["body"](x)
        return self.q["mu"](h), self.q["logvar"](h)

    def decode(self, z):
        return self.p(z)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        return self.decode(torch.addcmul(mu, logvar.exp().sqrt(), eps)), mu, logvar


@vae.alternative("bare parameters, residual block, two-layer decoder")
class BareParameters(nn.Module):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(data_dim, hidden_dim) / data_dim**0.5)
        self.w2 = nn.Parameter(torch.randn(hidden_dim, hidden_dim) / hidden_dim**0.5)
        self.w3 = nn.Parameter(torch.randn(hidden_dim, 2 * latent_dim) / hidden_dim**0.5)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 2 * hidden_dim), nn.ELU(), nn.Linear(2 * hidden_dim, data_dim)
        )

    def encode(self, x):
        h = torch.sigmoid(x @ self.w1)
        h = h + torch.relu(h @ self.w2)
        return torch.tensor_split(h @ self.w3, 2, dim=1)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        z = mu + torch.exp(logvar * 0.5) * eps
        return self.decode(z), mu, logvar
