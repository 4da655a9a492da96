"""One step of learning: `train_step`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...conventions import on_a_gpu, permuted
from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure

# The model that a student's step is tried on: three linear maps of x and one of eps. It has the form of a VAE's answer
# and nothing of its content.
MODEL = Source(
    """
class Model(torch.nn.Module):
    def __init__(self, x_to_logits, eps_to_logits, x_to_mu, x_to_logvar):
        super().__init__()
        self.x_to_logits = torch.nn.Parameter(x_to_logits.clone())
        self.eps_to_logits = torch.nn.Parameter(eps_to_logits.clone())
        self.x_to_mu = torch.nn.Parameter(x_to_mu.clone())
        self.x_to_logvar = torch.nn.Parameter(x_to_logvar.clone())

    def forward(self, x, eps):
        return x @ self.x_to_logits + eps @ self.eps_to_logits, x @ self.x_to_mu, x @ self.x_to_logvar
""",
    "Model",
)
RATE, MOMENTUM = 0.1, 0.5
OPTIMIZER = Source(
    f"""
def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr={RATE}, momentum={MOMENTUM})
""",
    "optimizer",
)
LITTER = Source(
    """
def litter(model):
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.5)
""",
    "litter",
)


@exercise("train_step", points=2, after=("negative_elbo",))
def train_step(student, case):
    """One optimiser step on the negative ELBO of model(x, eps) -> (logits, mu, logvar); returns the loss before it."""
    batch, pixels, latent = case.sizes(3, low=2, high=4)
    maps = [
        case.normal(pixels, width) * scale for width, scale in ((pixels, 1), (pixels, 2), (latent, 3), (latent, 0.5))
    ]
    maps[1] = 2 * case.normal(latent, pixels)
    start = dict(zip(("x_to_logits", "eps_to_logits", "x_to_mu", "x_to_logvar"), maps, strict=True))
    batches = [(case.uniform(size, pixels, low=0.2), case.normal(size, latent)) for size in (batch, 1)]
    batches[0] = tuple(map(permuted, batches[0]))
    beta = case.number(2.0, 4.0)

    loss, slope = descent(case, start, *batches[0], 1.0)
    model = student.make(MODEL)(*maps)
    optimizer = student.make(OPTIMIZER)(model)
    answer = student(model, optimizer, *batches[0])
    case.expect(answer, loss, "the loss before the step, as a float", points=0.5, rtol=1e-7)
    after = {name: value - RATE * slope[name] for name, value in start.items()}
    case.expect(left(answer, model), after, "the weights after one step", points=0.5, rtol=1e-6)

    later_loss, later = descent(case, after, *batches[1], beta)
    last = {name: value - RATE * (later[name] + MOMENTUM * slope[name]) for name, value in after.items()}
    case.expect(
        [student(model, optimizer, *batches[1], beta), model.parameters()],
        [later_loss, last],
        "a second step with a batch of one and another beta",
        points=0.5,
        rtol=1e-6,
    )

    littered = student.make(MODEL)(*maps)
    student.make(LITTER)(littered)
    answer = student.inputs_after(littered, student.make(OPTIMIZER)(littered), *batches[0])
    moved = left(answer, littered)
    case.expect(
        [moved, *(answer if isinstance(answer, Failure) else answer[2:]), refusal(student, littered, batches[0])],
        [after, *batches[0], ""],  # and the batch stays as it was, wherever it is
        "gradients left over from before do not count",
        points=0.5,
        rtol=1e-6,
        hint="clear the gradients before backward adds to them",
    )


def refusal(student, model, batch):
    """Why a GPU would refuse a step, in words for the student; "" where it would not."""
    asked = {"op": "elsewhere", "args": [model, student.make(OPTIMIZER)(model), *batch]}
    (said,) = [""] if isinstance(model, Failure) else student.several(asked)
    return on_a_gpu(said) if isinstance(said, str) and said else ""


def left(answer, model):
    """The weights as a step left them, or the reason why it was not made."""
    return answer if isinstance(answer, Failure) and answer.kind != "form" else model.parameters()


def descent(case, weights, x, eps, beta):
    """The negative ELBO at these weights and its gradient. It is autograd's where a central difference agrees, else
    made of central differences: what the student's own earlier function detaches by mistake still counts here.
    """
    failed = next((value for value in weights.values() if isinstance(value, Failure)), None)
    if failed is not None:
        return failed, dict.fromkeys(weights, failed)
    outputs = [
        x @ weights["x_to_logits"] + eps @ weights["eps_to_logits"],
        x @ weights["x_to_mu"],
        x @ weights["x_to_logvar"],
    ]
    evaluate = case.upstream("negative_elbo")

    def loss(entries):
        parts = entries.split([output.numel() for output in outputs])
        value = evaluate(x, *(part.view_as(output) for part, output in zip(parts, outputs, strict=True)), beta)
        return value if isinstance(value, Failure) else value.double()

    centre = torch.cat([output.flatten() for output in outputs])
    here, h = loss(centre), 1e-4
    if isinstance(here, Failure):
        return here, dict.fromkeys(weights, here)
    towards = torch.linspace(-1, 1, len(centre), dtype=centre.dtype)

    def slope(direction):
        return (loss(centre + h * direction) - loss(centre - h * direction)) / (2 * h)

    slopes = autograd_slopes(evaluate, x, outputs, beta)
    if slopes is None or not torch.isclose(slopes @ towards, slope(towards), rtol=1e-6, atol=1e-8):
        slopes = torch.stack([slope(direction) for direction in torch.eye(len(centre), dtype=centre.dtype)])
    to_logits, to_mu, to_logvar = (
        part.view_as(output)
        for part, output in zip(slopes.split([output.numel() for output in outputs]), outputs, strict=True)
    )
    gradient = {
        "x_to_logits": x.T @ to_logits,
        "eps_to_logits": eps.T @ to_logits,
        "x_to_mu": x.T @ to_mu,
        "x_to_logvar": x.T @ to_logvar,
    }
    return float(here), gradient


def autograd_slopes(evaluate, x, outputs, beta):
    """d negative ELBO / d (logits, mu, logvar), flat; None where there is none."""
    one = torch.ones((), dtype=x.dtype)
    slopes = evaluate.gradient(x, *outputs, beta, weights=[one], wrt=[1, 2, 3])
    if not isinstance(slopes, list | tuple) or not all(isinstance(slope, torch.Tensor) for slope in slopes):
        return None
    flat = torch.cat([slope.flatten() for slope in slopes]).to(x.dtype)
    return flat if len(flat) == sum(output.numel() for output in outputs) else None


@train_step.truth
def truth(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    loss = _loss(model, x, eps, beta)
    loss.backward()
    optimizer.step()
    return float(loss)


def _loss(model, x, eps, beta=1.0):
    logits, mu, logvar = model(x, eps)
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (reconstruction + beta * 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)).mean()


@train_step.misconception(
    "the gradients are never cleared",
    hint="backward adds to whatever stands in .grad. Without optimizer.zero_grad() every step drags all earlier "
    "batches along.",
)
def gradients_are_never_cleared(model, optimizer, x, eps, beta=1.0):
    loss = _loss(model, x, eps, beta)
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    "the gradients are cleared after the step",
    hint="That cleans up behind you, but what somebody else left in .grad still enters this step. Clear before "
    "backward.",
)
def gradients_are_cleared_after_step(model, optimizer, x, eps, beta=1.0):
    loss = _loss(model, x, eps, beta)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@train_step.misconception(
    "the weights do not move",
    hint="The order is zero_grad, backward, step. Either a step is missing, or zero_grad stands between backward and "
    "step, so that step finds nothing to do.",
)
def weights_do_not_move(model, optimizer, x, eps, beta=1.0):
    loss = _loss(model, x, eps, beta)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    "the step comes before backward",
    hint="optimizer.step() uses the gradients that backward computes: zero_grad, backward, step, in this order.",
)
def step_comes_before_backward(model, optimizer, x, eps, beta=1.0):
    loss = _loss(model, x, eps, beta)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@train_step.misconception(
    "the loss after the step is returned",
    hint="Return the loss that was differentiated, from before the step; running the model once more costs a second "
    "forward pass.",
)
def loss_after_step_is_returned(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    _loss(model, x, eps, beta).backward()
    optimizer.step()
    return _loss(model, x, eps, beta).item()


@train_step.misconception(
    "the loss is returned as a tensor",
    hint="Return loss.item(), a Python float. A tensor keeps the whole graph of the step alive as long as you keep it.",
)
def loss_is_returned_as_tensor(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    loss = _loss(model, x, eps, beta)
    loss.backward()
    optimizer.step()
    return loss


@train_step.misconception(
    "the loss is not returned",
    hint="End with return loss.item(): the caller wants to draw the curve.",
)
def loss_is_not_returned(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    _loss(model, x, eps, beta).backward()
    optimizer.step()


@train_step.misconception(
    "beta is not passed on",
    hint="The step is made on the plain negative ELBO: hand beta to negative_elbo.",
)
def beta_is_not_passed_on(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    loss = _loss(model, x, eps)
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    "the step goes uphill",
    hint="Optimisers minimise. You differentiated the ELBO itself; differentiate its negative.",
)
def step_goes_uphill(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    loss = -_loss(model, x, eps, beta)
    loss.backward()
    optimizer.step()
    return -loss.item()


@train_step.misconception(
    "the gradients are clipped",
    hint="The exercise asks for one plain step of the optimiser. Clipping hides a loss that is scaled wrongly.",
)
def gradients_are_clipped(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    loss = _loss(model, x, eps, beta)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@train_step.misconception(
    "new noise instead of eps",
    hint="Hand the given eps to the model, so that the step can be repeated exactly.",
)
def new_noise_instead_of_eps(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    loss = _loss(model, x, torch.randn_like(eps), beta)
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.misconception(
    "the model is taken apart",
    hint="Call model(x, eps) and nothing else of it: then the step works for every model with such a forward.",
)
def model_is_taken_apart(model, optimizer, x, eps, beta=1.0):
    optimizer.zero_grad()
    mu, logvar = model.encode(x)
    loss = _loss(lambda x, eps: (model.decode(mu + torch.exp(logvar / 2) * eps), mu, logvar), x, eps, beta)
    loss.backward()
    optimizer.step()
    return loss.item()


@train_step.alternative("gradients set to None by hand")
def gradients_set_to_none_by_hand(model, optimizer, x, eps, beta=1.0):
    for p in model.parameters():
        p.grad = None
    loss = _loss(model, x, eps, beta)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


@train_step.alternative("autograd.grad")
def autograd_grad(model, optimizer, x, eps, beta=1.0):
    model.train()
    loss = _loss(model, x, eps, beta)
    parameters = list(model.parameters())
    for p, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = grad
    value = loss.item()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return value


@train_step.alternative("a closure")
def closure(model, optimizer, x, eps, beta=1.0):
    def closure():
        optimizer.zero_grad()
        loss = _loss(model, x, eps, beta)
        loss.backward()
        return loss

    return optimizer.step(closure).item()
