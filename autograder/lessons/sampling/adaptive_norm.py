"""How a network hears the time: `AdaptiveNorm`, judged with weights of the checker's choice."""

from __future__ import annotations

import torch

from ...conventions import InDtype
from ...difference import difference
from ...exercise import exercise
from ...student import Failure, is_module

CLOSE = 1e-3  # relative: float32, and any small constant beside the variance
HALVES = "one Linear from emb gives scale (first half) and shift (second half)"


@exercise("AdaptiveNorm", points=3)
def adaptive_norm(student, case):
    """AdaptiveNorm(channels, embed_dim, groups=8): group norm of h, times 1 + scale, plus shift, from emb."""
    groups, each = (3, 5)[case.integer(0, 1)], (2, 4)[case.integer(0, 1)]
    channels, embed = groups * each, (11, 13)[case.integer(0, 1)]
    batch, height, width = (2 * size + 1 for size in case.sizes(3, low=1, high=4))
    bench = Bench(case, student, channels, embed, groups)
    h = 0.5 + 1.5 * case.normal(batch, channels, height, width, dtype=torch.float32)
    emb = case.normal(batch, embed, dtype=torch.float32)
    towards = case.normal(*h.shape, dtype=torch.float32)

    check_start(case, bench, h, emb)
    bench.load()
    case.expect(bench.model(h, emb), bench.truth(h, emb), HALVES, points=0.75, rtol=CLOSE)
    check_groups(case, student, h, embed)
    check_gradients(case, bench, h, emb, towards)
    faint = 0.05 * h  # so that the 1e-5 beside the variance shows, for everybody
    case.conventions(bench.model, (faint, emb), bench.truth, points=0.5, manner=InDtype())


NO_MODULE = "AdaptiveNorm(...) is no nn.Module: derive the class from it and call super().__init__() first"


class Bench:
    """One instance of the student's, and the weights of the Linear that the checker gives it."""

    def __init__(self, case, student, channels, embed, *groups):
        self.groups = groups[0] if groups else 8
        self.weight = case.normal(2 * channels, embed, dtype=torch.float32) / embed**0.5
        self.bias = 0.5 * case.normal(2 * channels, dtype=torch.float32)
        self.seed = case.integer(0, 2**31)
        made = student(channels, embed, *groups)
        self.model = made if isinstance(made, Failure) or is_module(made) else Failure("form", NO_MODULE)
        self.names = {channels: "C", 2 * channels: "2C", embed: "E"}

    def load(self):
        """Weights of the expected shapes get the chosen values, any others random ones."""
        noise = torch.Generator().manual_seed(self.seed)
        own = {tuple(value.shape): value for value in (self.weight, self.bias)}
        weights = self.model.parameters()
        if not isinstance(weights, Failure):
            values = {
                name: own.get(tuple(v.shape), torch.randn(v.shape, generator=noise)) for name, v in weights.items()
            }
            self.model.load(values)

    def truth(self, h, emb):
        return modulated(h, emb, self.weight.to(h.dtype), self.bias.to(h.dtype), self.groups)

    def letters(self, shape):
        return " x ".join(self.names.get(size, str(size)) for size in shape) or "a number"


def modulated(h, emb, weight, bias, groups):
    """From the definition: the mean and the standard deviation of all entries of a group."""
    parts = h.reshape(len(h), groups, -1)
    middle, spread = parts.mean(-1, keepdim=True), parts.var(-1, correction=0, keepdim=True)
    scale, shift = (emb @ weight.T + bias).reshape(len(h), 2, -1, 1, 1).unbind(1)
    return (1 + scale) * ((parts - middle) / (spread + 1e-5).sqrt()).reshape(h.shape) + shift


def check_start(case, bench, h, emb):
    """As constructed: the result is the group norm alone, and one Linear stands there with zeros."""
    first, weights = bench.model(h, emb), bench.model.parameters()
    bare = modulated(h, emb, torch.zeros_like(bench.weight), torch.zeros_like(bench.bias), bench.groups)
    what = "at first it is a group norm and no more"
    hint = "scale and shift start at 0, so a new module leaves the normalised h as it is"
    failed = next((value for value in (first, weights) if isinstance(value, Failure)), None)
    problem = "" if failed else difference(first, bare, rtol=CLOSE)
    case.check(failed if failed is not None else not problem, what, 0.5, f"{problem}. {hint}")

    what, evidence = "its parameters: one Linear from emb to 2C, all zeros", None
    if failed is None:
        shapes = {tuple(value.shape) for value in weights.values()}
        wanted = {tuple(bench.weight.shape), tuple(bench.bias.shape)}
        right = shapes == wanted and len(weights) == len(wanted)
        zero = all(not value.any() for value in weights.values())
        if not right or not zero:
            evidence = [f"{bench.letters(v.shape)}{'' if v.any() else ' of zeros'}" for v in weights.values()]
    hint = f"expected a weight 2C x E and a bias 2C, both zeros, got {'; '.join(evidence) if evidence else 'none'}"
    case.check(failed if failed is not None else evidence is None, what, 0.5, hint, evidence)


def check_groups(case, student, h, embed):
    """One group, one group a channel, and for a single example the eight that are usual."""
    settings, got, truth = ((h.shape[1], 1), (h.shape[1], h.shape[1]), (16,)), [], []
    for channels, *groups in settings:
        bench = Bench(case, student, channels, embed, *groups)
        bench.load()
        examples = len(h) if groups else 1
        image = 1 + case.normal(examples, channels, *h.shape[2:], dtype=torch.float32)
        emb = case.normal(examples, embed, dtype=torch.float32)
        got.append(bench.model(image, emb))
        truth.append(bench.truth(image, emb))
    case.expect(got, truth, "1 group, C groups, and 8 unless said otherwise", points=0.5, rtol=CLOSE)


def check_gradients(case, bench, h, emb, towards):
    """The gradient reaches the weights, h and emb."""
    what, points = "gradients reach the weights, h and emb", 0.25
    leaves = [value.double().requires_grad_() for value in (bench.weight, bench.bias, h, emb)]
    weight, bias, image, row = leaves
    out = modulated(image, row, weight, bias, bench.groups)
    truth = torch.autograd.grad((towards.double() * out).sum(), leaves)
    slopes = bench.model.slopes(h, emb, weights=[towards])
    inner = bench.model.gradient(h, emb, weights=[towards], wrt=[0, 1])
    failed = next((value for value in (slopes, inner) if isinstance(value, Failure)), None)
    if failed is not None:
        case.expect(failed, None, what, points)
        return
    # By shape, not by name. A parameter that is not there has nothing to learn; its absence costs points elsewhere.
    shapes = {name: tuple(value.shape) for name, value in bench.model.parameters().items()}
    found = {shapes[name]: value for name, value in slopes.items()}
    wanted = [value for value in truth[:2] if tuple(value.shape) in found]
    got = [*(found[tuple(value.shape)] for value in wanted), *inner]
    size = max(float(value.abs().max()) for value in truth)
    case.expect(got, [*wanted, *truth[2:]], what, points, rtol=CLOSE, atol=CLOSE * size)
