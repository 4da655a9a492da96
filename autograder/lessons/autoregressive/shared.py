"""What the checks of 03-autoregressive have in common: small joint tables, causal models that remember their calls."""

from __future__ import annotations

import torch


def joint_table(case, *shape, holes=False):
    """A random joint table that sums to 1. With `holes` the first variable's last level never happens, nor do some
    single states.
    """
    table = case.uniform(*shape, low=0.1, high=1.0)
    if holes:
        table[-1] = 0
        table.view(-1)[case.integer(1, 3)] = 0
    return table / table.sum()


class Reader:
    """A causal model of sequences: logits (B, N, K) in `dtype`, entry n a function of tokens 0..n, each with a weight
    of its own. It remembers every call, and answers to one token more than `length` too.
    """

    def __init__(self, case, tokens, levels, length, dtype=torch.float64):
        self.now, self.before = 1.5 * case.normal(tokens, levels), case.normal(length + 1, tokens, levels)
        self.dtype = dtype
        self.calls: list[torch.Tensor] = []

    def __call__(self, tokens):
        self.calls.append(tokens)
        past = self.before[torch.arange(tokens.shape[1]), tokens]  # (B, N, K), by place and token
        return (self.now[tokens] + past.cumsum(1) - past).to(self.dtype)

    def again(self, dtype=None):
        """The same model with an empty memory."""
        other = object.__new__(Reader)
        other.now, other.before, other.dtype, other.calls = self.now, self.before, dtype or self.dtype, []
        return other


class Painter:
    """A causal model of images: logits (B, K, H, W), those of pixel n a function of all pixels before it in raster
    order, each with a weight of its own. It remembers every call.
    """

    def __init__(self, case, levels, height, width, dtype=torch.float64):
        count = height * width
        self.size, self.dtype = (levels, height, width), dtype
        self.bias = 0.5 * case.normal(count, levels)
        sign = torch.where(case.uniform(count, levels, count) < 0.5, -1.0, 1.0).double()
        self.weight = sign * case.uniform(count, levels, count, low=0.2, high=0.5)
        self.weight *= torch.ones(count, count).tril(-1)[:, None]
        self.calls: list[torch.Tensor] = []

    def __call__(self, x):
        self.calls.append(x)
        shown = x.flatten(1).double()
        logits = self.bias + torch.einsum("nkm,bm->bnk", self.weight, shown)
        return logits.transpose(1, 2).reshape(len(x), *self.size).to(self.dtype)

    def again(self):
        """The same model with an empty memory."""
        other = object.__new__(Painter)
        other.size, other.dtype, other.bias, other.weight = self.size, self.dtype, self.bias, self.weight
        other.calls = []
        return other

    def middles(self, images, temperature=1.0):
        """The u that lie in the middle of the piece of every pixel of these images, (B, H, W)."""
        p = (self.again()(images) / temperature).double().softmax(1)
        upto = p.cumsum(1)
        own = images[:, None]
        return (upto.gather(1, own) - p.gather(1, own) / 2)[:, 0]
