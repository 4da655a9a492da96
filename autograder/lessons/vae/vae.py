"""The network: `VAE`, judged by what it does with weights of the checker's choice, never by how it is built."""

from __future__ import annotations

import torch

from ...conventions import permuted
from ...difference import difference
from ...exercise import exercise
from ...student import Failure, is_module
from .shared import call, drawn, reached, reaching, slopes_of, together, with_weights

CLOSE = 1e-3  # relative: float32 through a few layers, added up in another order
BIG = 300.0  # the standard deviation of weights that drive an unbounded output far
PARTS = ("encode's mu", "encode's logvar", "decode's logits", "forward's logits", "forward's mu", "forward's logvar")
FAR = 100.0  # an output beyond this is taken for unbounded


@exercise("VAE", points=4, after=("reparameterize",))
def vae(student, case):
    """VAE(data_dim, hidden_dim, latent_dim): encode(x) -> (mu, logvar), decode(z) -> logits, forward(x, eps) ->
    (logits, mu, logvar).
    """
    data, latent, batch = case.sizes(3, low=3, high=9)
    hidden = case.integer(16, 24)
    x = case.uniform(batch, data, dtype=torch.float32)
    z, eps = (case.normal(batch, latent, dtype=torch.float32) for _ in range(2))
    model = used(student(data, hidden, latent), x, z)
    if not isinstance(model, Failure) and not is_module(model):
        model = Failure("form", "VAE(...) is no nn.Module: derive the class from it and call super().__init__() first")

    weights = enliven(case, model, x)
    if not isinstance(model, Failure) and is_deaf(case, model, weights, x, z):
        model = Failure("form", "encode and decode give the same numbers whatever they are given, or none at all")
    check_shapes(case, model, x, z, eps, {batch: "B", data: "D", hidden: "H", latent: "J"})
    check_forward(case, model, x, eps)
    check_reconstruction_gradient(case, model, x, eps)
    check_separate(case, model, x, z)
    check_each_alone(case, model, x, z, eps)
    check_registered(case, model, used(student.reseeded(1)(data, hidden, latent), x, z), x, z)
    check_hidden_dim(case, model, used(student(data, 4 * hidden, latent), x, z) if is_module(model) else model)
    check_bends(case, model, weights, x, z)
    check_unbounded(case, model, weights, x, z)


def used(model, x, z):
    """The model once it was asked: lazy layers have no weights before."""
    if is_module(model):
        together(model, call("encode", x), call("decode", z))
    return model


def check_shapes(case, model, x, z, eps, letters):
    """(B, J) twice from encode, (B, D) from decode, and all three from forward, for a batch and for one example."""
    what = "what encode, decode and forward return, and its shape"
    seen, faults = [], []
    data, latent = x.shape[1], z.shape[1]
    asked = [(call("encode", x[:n]), call("decode", z[:n]), call(None, x[:n], eps[:n])) for n in (len(x), 1)]
    replies = together(model, *asked[0], *asked[1])
    for n, (encoded, decoded, answer) in ((len(x), replies[:3]), (1, replies[3:])):
        pair = case.unpack(encoded, "mu", "logvar")
        three = case.unpack(answer, "logits", "mu", "logvar")
        for name, value, width in zip(
            PARTS,
            (*pair, decoded, *three),
            (latent, latent, data, data, latent, latent),
            strict=True,
        ):
            if isinstance(value, Failure):
                case.expect(value, None, what, points=0.5)
                return
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else None
            seen.append("x".join(letters.get(size, str(size)) for size in shape) if shape else "none")
            if shape != (n, width):
                faults.append(f"{name}: expected shape {(n, width)}, got {shape if shape else type(value).__name__}")
    if not faults and torch.equal(*pair):
        seen, faults = ["mu is logvar"], ["encode returns the same numbers for mu and for logvar"]
    case.check(not faults, what, points=0.5, hint="; ".join(faults[:2]), evidence=seen if faults else None)


def enliven(case, model, x):
    """Move the weights, zeros too, until logvar is clearly not 0, where sigma and sigma^2 look alike, and not large;
    the weights.
    """
    noise = torch.Generator().manual_seed(case.integer(0, 2**31))
    weights, pair = together(model, {"op": "parameters"}, call("encode", x))
    for _ in range(40):
        _, logvar = case.unpack(pair, "mu", "logvar")
        if not isinstance(logvar, torch.Tensor) or isinstance(weights, Failure):
            break
        factor, spread = (0.9, 0.0) if logvar.abs().max() > 6 else (1.25, 0.1)
        if factor > 1 and logvar.abs().mean() > 0.7:
            break
        weights = {name: factor * v + spread * torch.randn(v.shape, generator=noise) for name, v in weights.items()}
        _, pair = together(model, {"op": "load", "values": weights}, call("encode", x))
    return weights


def is_deaf(case, model, weights, x, z):
    """Whether nothing that comes out depends on what goes in, with these weights and with others: a network that
    answers with constants agrees with itself in everything.
    """

    def deaf(values):
        tensors = [value.float() for value in values if isinstance(value, torch.Tensor)]
        return bool(tensors) and not any(v.ndim and v.isfinite().all() and (v != v[:1]).any() for v in tensors)

    pair, logits = together(model, call("encode", x), call("decode", z))
    if not deaf([*case.unpack(pair, "mu", "logvar"), logits]) or not isinstance(weights, dict):
        return False
    others = with_weights(case, model, drawn(case, weights, 0.5), x, z)
    model.load(weights)
    return deaf(others)


def check_forward(case, model, x, eps):
    """forward is encode, reparameterize, decode."""
    reparameterize = case.upstream("reparameterize")
    pair, answer = together(model, call("encode", x), call(None, x, eps))
    mu, logvar = case.unpack(pair, "mu", "logvar")
    logits, mu_out, logvar_out = case.unpack(answer, "logits", "mu", "logvar")
    left = reparameterize.inputs_after(mu, logvar, eps)  # a student's own function may write into its arguments
    case.expect(
        [mu_out, logvar_out],
        left if isinstance(left, Failure) else left[:2],
        "forward passes on encode's mu and logvar",
        points=0.25,
        rtol=CLOSE,
        suspects={
            "sigma": lambda: [mu, (logvar / 2).exp()],
            "sigma^2": lambda: [mu, logvar.exp()],
            "swapped": lambda: [logvar, mu],
        },
    )

    def own_noise():
        other = case.unpack(model.reseeded(1)(x, eps), "logits", "mu", "logvar")[0]
        return logits if difference(logits, other, rtol=CLOSE) else None

    case.expect(
        logits,
        model.decode(reparameterize(mu, logvar, eps)),
        "forward decodes z = mu + sigma eps",
        points=0.75,
        rtol=CLOSE,
        suspects={
            "its own noise": own_noise,
            "sigma^2 eps": lambda: model.decode(mu + logvar.exp() * eps),
            "logvar eps": lambda: model.decode(mu + logvar * eps),
            "no noise": lambda: model.decode(mu),
            "eps alone": lambda: model.decode(eps),
            "no sigma": lambda: model.decode(mu + eps),
            "probabilities": lambda: torch.sigmoid(model.decode(reparameterize(mu, logvar, eps))),
        },
        hint="z is reparameterize(mu, logvar, eps) with the eps that forward is given",
    )


def check_reconstruction_gradient(case, model, x, eps):
    """The logits' gradient reaches every weight that mu and logvar depend on, by the chain rule."""
    reparameterize = case.upstream("reparameterize")
    towards = case.normal(*x.shape, dtype=torch.float32)
    pair, slopes, got = together(
        model, call("encode", x), reaching("encode", x, 2), slopes_of(None, x, eps, weights=[towards, None, None])
    )
    mu, logvar = case.unpack(pair, "mu", "logvar")
    through = model.decode.gradient(reparameterize(mu, logvar, eps), weights=[towards], wrt=[0])[0]

    def chain(to_mu, to_logvar):
        slopes = model.encode.slopes(x, weights=[to_mu, to_logvar])
        return slopes if isinstance(slopes, Failure) else {name: slopes[name] for name in mine}

    mine = reached(slopes)
    back = reparameterize.gradient(mu, logvar, eps, weights=[through], wrt=[0, 1])
    what, points = "the reconstruction trains the encoder", 0.5
    failed = next((value for value in (mu, through, mine, back, got) if isinstance(value, Failure)), None)
    if failed is not None:
        case.expect(failed, None, what, points)
        return
    if through is None or not mine:
        case.check(False, what, points, "no gradient passes through encode or decode", evidence="no gradient at all")
        return
    truth = chain(*back)
    size = max((float(value.abs().max()) for value in truth.values() if value is not None), default=0.0)
    case.expect(
        {name: got[name] for name in mine},
        truth,
        what,
        points,
        rtol=CLOSE,
        atol=CLOSE * size,
        suspects={"cut off": dict.fromkeys(mine), "through mu alone": lambda: chain(back[0], None)},
        hint="the gradient must flow from the logits through z into mu and logvar: no detach, no no_grad on the way",
    )


def check_separate(case, model, x, z):
    """No weight serves both encoder and decoder."""
    encoder, decoder = map(reached, together(model, reaching("encode", x, 2), reaching("decode", z, 1)))
    failed = next((names for names in (encoder, decoder) if isinstance(names, Failure)), None)
    shared = [] if failed else sorted(set(encoder) & set(decoder))
    passed = failed if failed is not None else bool(encoder and decoder and not shared)
    hint = (
        f"both use {', '.join(shared[:3])}" if shared else "encoder or decoder has no parameter that could be trained"
    )
    case.check(passed, "encoder and decoder share no parameter", 0.25, hint, evidence="shared" if shared else None)


def check_each_alone(case, model, x, z, eps):
    """An example's answer is the same every time and whatever stands beside it in the batch, which stays as it was."""
    evidence, failed = None, None
    both = (("encode", x), ("decode", z))
    forms = [
        (call(method, given), call(method, given[1:2]), call(method, given, inputs=True), call(method, permuted(given)))
        for method, given in both
    ]
    forward = call(None, x, eps, inputs=True), {"op": "elsewhere", "args": [x, eps]}
    *replies, after, refused = together(model, *forms[0], *forms[1], *forward)
    later = together(model.reseeded(1), *(call(method, given) for method, given in both))
    for (_, given), again, (whole, alone, left, moved) in zip(both, later, (replies[:4], replies[4:]), strict=True):
        failed = failed or (whole if isinstance(whole, Failure) else None)
        if failed:
            break
        row = [part[1:2] for part in whole] if isinstance(whole, list | tuple) else whole[1:2]
        if isinstance(again, Failure) or difference(again, whole, rtol=CLOSE):
            evidence = "random"
        elif isinstance(alone, Failure) or difference(alone, row, rtol=CLOSE):
            evidence = evidence or "batch"
        if not evidence and difference(left, [given]):
            evidence = "overwritten"
        if not evidence and difference(moved, whole, rtol=CLOSE):
            evidence = "permuted"
    if not failed and not evidence:
        evidence = "overwritten" if difference(after, [x, eps]) else None
        evidence = evidence or ("elsewhere" if isinstance(refused, str) and refused else None)
    hint = {
        "random": "the same input gives another answer the second time: no dropout, no sampling in encode or decode",
        "batch": "an example's answer changes with the rest of the batch: no batch normalisation",
        "permuted": "x or z fails with its axes in another order in memory: reshape or flatten in place of view",
        "elsewhere": "on a GPU this fails: what encode, decode or forward makes belongs on the inputs' device",
        "overwritten": "x, z or eps was modified: work on new tensors instead of writing into those you were given",
    }.get(str(evidence), "")
    what = "every example on its own, the same every time"
    case.check(failed or evidence is None, what, 0.5, hint, evidence)


def check_registered(case, model, twin, x, z):
    """Two instances with the same registered parameters do the same, and every parameter that matters can learn."""
    what, points = "all weights are registered parameters that can learn", 0.25
    weights, pair, logits, *slopes = together(
        model.reseeded(1),  # the twin's seed, or dropout would pass for hidden weights
        {"op": "parameters"},
        call("encode", x),
        call("decode", z),
        reaching("encode", x, 2),
        reaching("decode", z, 1),
    )
    before = [*case.unpack(pair, "mu", "logvar"), logits]
    failed = next((v for v in (weights, twin) if isinstance(v, Failure)), None)
    after = failed or with_weights(case, twin, weights, x, z)
    if failed is not None:
        case.expect(failed, None, what, points)
        return

    evidence = None
    if not weights or difference(after, before, rtol=CLOSE):
        evidence = "unregistered"
    names = [found for found in map(reached, slopes) if not isinstance(found, Failure)]
    idle = set(weights).difference(*names)
    # A weight without gradient is harmless where nothing depends on it; otherwise it is frozen.
    moved = {name: weights[name] + 1 for name in idle}
    if not evidence and idle and difference(with_weights(case, twin, moved, x, z), before, rtol=CLOSE):
        evidence = "frozen"
    hint = {
        "unregistered": "two instances with equal parameters answer differently, so some weights are hidden from "
        "parameters(): keep layers as attributes, in nn.Sequential or in nn.ModuleList, not in a plain list",
        "frozen": "some weights matter and get no gradient",
    }.get(str(evidence), "")
    case.check(evidence is None, what, points, hint, evidence)


def check_hidden_dim(case, model, wider):
    """hidden_dim sets the width of the network."""
    narrow, wide = model.parameters(), wider.parameters()
    failed = next((v for v in (narrow, wide) if isinstance(v, Failure)), None)
    counts = [0, 0] if failed else [sum(value.numel() for value in v.values()) for v in (narrow, wide)]
    hint = "a larger hidden_dim must give a larger network; is a width written as a number?"
    passed = failed if failed is not None else counts[1] > counts[0]
    case.check(passed, "hidden_dim sets the width", 0.25, hint, evidence=counts[1] > counts[0])


def check_bends(case, model, weights, x, z):
    """With any weights, mu, logvar and logits do not move along a straight line when their input does."""
    what, points = "mu, logvar and logits are no linear functions", 0.25
    if isinstance(weights, Failure):
        case.expect(weights, None, what, points)
        return
    tries = []  # three weights, since units with a ReLU behind them may be silent with one
    for _ in range(3):
        loading = {"op": "load", "values": drawn(case, weights, 0.5)}
        steps = [3 * case.normal(*given.shape, dtype=torch.float32) for given in (x, z)]
        walks = [
            [call(method, point) for point in (given - step, given, given + step)]
            for method, given, step in (("encode", x, steps[0]), ("decode", z, steps[1]))
        ]
        tries.append((loading, *walks[0], *walks[1]))
    straight: dict[str, str] = {}
    for number, asked in enumerate(tries):
        found = _straight(case, together(model, *asked)[1:])
        if isinstance(found, Failure):
            case.expect(found, torch.zeros(()), what, points)
            return
        straight = {name: text for name, text in found.items() if name in straight or not number}
        if not straight:
            break
    hint = f"{'; '.join(straight.values())}. Every output depends on its own input, through a hidden layer with an "
    case.check(not straight, what, points, f"{hint}activation", evidence=[*straight.values()] or None)


def _straight(case, replies):
    """What is wrong with each output that does not bend, of three replies of encode and three of decode along lines of
    inputs; a Failure where one is no tensor.
    """
    found = {}
    for names, answers in ((("mu", "logvar"), replies[:3]), (("logits",), replies[3:])):
        path = [case.unpack(answer, *names) if len(names) > 1 else [answer] for answer in answers]
        for name, *values in zip(names, *path, strict=True):
            failed = next((v for v in values if not isinstance(v, torch.Tensor)), None)
            if failed is not None:
                return failed if isinstance(failed, Failure) else Failure("form", f"{name} is no tensor")
            before, middle, after = values
            bend, way = (before + after - 2 * middle).abs().max(), (after - before).abs().max()
            if way == 0:
                found[name] = f"{name} is the same for every input"
            elif bend <= CLOSE * way:
                found[name] = f"{name} is a linear function of its input"
            elif torch.equal(middle, middle[:, :1].expand_as(middle)):
                found[name] = f"{name} has one number for all entries"
    return found


def check_unbounded(case, model, weights, x, z):
    """With large random weights mu, logvar and logits go far in both directions."""
    what, points = "mu, logvar and logits can be any number", 0.5
    if isinstance(weights, Failure):
        case.expect(weights, None, what, points)
        return
    pooled: list[list[torch.Tensor]] = [[], [], []]
    tries = [drawn(case, weights, BIG) for _ in range(8)]
    for some in (tries[:2], tries[2:]):  # two are often enough
        requests = [({"op": "load", "values": values}, call("encode", x), call("decode", z)) for values in some]
        replies = together(model, *(request for three in requests for request in three))
        for pair, logits in zip(replies[1::3], replies[2::3], strict=True):
            answer = [*case.unpack(pair, "mu", "logvar"), logits]
            failed = next((value for value in answer if not isinstance(value, torch.Tensor)), None)
            if failed is not None:
                case.expect(failed, torch.zeros(()), what, points)
                return
            for seen, value in zip(pooled, answer, strict=True):
                seen.append(value.float().flatten().nan_to_num(0.0))
        ranges = [_range(torch.cat(seen)) for seen in pooled]
        if all(ends == ("-", "+") for ends in ranges):
            break
    faults = [
        f"{name} never goes {'below' if side == 0 else 'above'} {ends[side]}"
        for name, ends in zip(("mu", "logvar", "logits"), ranges, strict=True)
        for side in (0, 1)
        if ends[side] not in "-+"
    ]
    hint = f"{'; '.join(faults)}: end in a linear layer, without an activation or a clamp"
    case.check(not faults, what, points, hint, evidence=ranges if faults else None)


def _range(values: torch.Tensor) -> tuple[str, str]:
    """The least and the largest value, rounded; a sign for what is far out."""
    low, high = float(values.min()), float(values.max())
    return "-" if low < -FAR else str(round(low)), "+" if high > FAR else str(round(high))
