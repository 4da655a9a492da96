"""What the checks of 11-worlds share: modules judged with weights of the checker's choice, and sets of points."""

from __future__ import annotations

import torch

from ...student import Failure, is_module

CLOSE = 1e-4  # relative: float32 sums of some hundred products


class Bench:
    """One instance of the student's, and the weights that the checker gives it: `shapes` are those of the parameters
    asked for, by name.
    """

    def __init__(self, case, made, shapes):
        self.shapes = shapes
        self.weights = {name: case.normal(*shape, dtype=torch.float32) / 2 for name, shape in shapes.items()}
        no_module = "this is no nn.Module: derive the class from it and call super().__init__() first"
        self.model = made if isinstance(made, Failure) or is_module(made) else Failure("form", no_module)
        self.found = self.model.parameters()

    def own(self):
        """Its parameters as they are, or the Failure that stands for them; another Failure where names or shapes are
        not those asked for.
        """
        if isinstance(self.found, Failure) or self.listed() == self.asked():
            return self.found
        return Failure("form", f"its parameters are not {', '.join(self.asked())}")

    def listed(self):
        """Names and shapes of its parameters, as words in a fixed order."""
        if isinstance(self.found, Failure):
            return self.found
        return sorted(f"{name} {tuple(value.shape)}" for name, value in self.found.items())

    def asked(self):
        """The same words for the parameters asked for."""
        return sorted(f"{name} {tuple(shape)}" for name, shape in self.shapes.items())

    def load(self):
        """Write the chosen weights into parameters of these names and shapes, and zeros into all others, whose
        presence costs points elsewhere; returns the module.
        """
        if not isinstance(self.found, Failure):
            fits = {n: w for n, w in self.weights.items() if n in self.found and self.found[n].shape == w.shape}
            self.model.load({**{n: torch.zeros_like(value) for n, value in self.found.items()}, **fits})
        return self.model

    def check_parameters(self, case, points):
        """Report whether these and no others are its parameters."""
        hint = f"expected {', '.join(self.asked())}"
        if isinstance(listed := self.listed(), Failure):
            case.check(listed, "its parameters", points, hint)
            return
        case.check(
            listed == self.asked(), "its parameters", points, f"{hint}, found {', '.join(listed) or 'none'}", listed
        )

    def check_gradients(self, case, inputs, truth, points):
        """Report whether the gradient of a weighed sum reaches every parameter and the input; `truth(x, **weights)` is
        differentiated.
        """
        names = [*self.shapes]
        leaves = [value.double().requires_grad_() for value in (*self.weights.values(), inputs)]
        out = truth(leaves[-1], **dict(zip(names, leaves, strict=False)))
        towards = case.normal(*out.shape, dtype=torch.float32)
        true = torch.autograd.grad((towards.double() * out).sum(), leaves)
        slopes = self.model.slopes(inputs, weights=[towards])
        inner = self.model.gradient(inputs, weights=[towards], wrt=[0])
        parts = [slopes] if isinstance(slopes, Failure) else [slopes.get(name) for name in names]
        got = [*parts, *(inner if isinstance(inner, list) else [inner])]
        case.expect(got, list(true), "gradients reach every parameter and the input", points=points, rtol=1e-3)
