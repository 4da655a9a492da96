"""Whatever implements a formula says whose it is: a paper with its year, or it is listed here with the reason."""

import importlib
import inspect
import re

import pytest

MODULES = (
    "exact.gaussian",
    "exact.linear_vae",
    "exact.mixture",
    "exact.walk",
    "metrics",
    "networks",
    "tables",
    "times",
    "training.rates",
)
FORMULA = re.compile(r"\s(?:=|~|<-|>)\s|\s/ \(|\^2")
YEAR = re.compile(r"\b(?:18|19|20)\d\d\b")
# Nobody's in particular: what follows from a definition in a line or two.
OWN = {
    "exact.gaussian.GaussianData.entropy": "an integral of the density",
    "exact.gaussian.GaussianData.score": "the derivative of a Gaussian's logarithm",
    "exact.gaussian.GaussianData.blurred": "variances of independent things add up",
    "exact.gaussian.GaussianData.eps_floor": "the variance that a regression leaves",
    "exact.gaussian.GaussianData.x0_floor": "the variance that a regression leaves",
    "exact.mixture.GaussianMixture.given": "Bayes' rule for the components, and `GaussianData.given`",
    "exact.mixture.GaussianMixture.score": "the derivative of a mixture's logarithm",
    "exact.mixture.GaussianMixture.blurred": "variances of independent things add up",
    "exact.linear_vae.LinearVAE.diagonal_gap": "a divergence of two Gaussians with one mean",
    "metrics.KernelDistance": "names for the results of `kernel_distance`, whose source stands there",
    "training.rates.blend_": "the step of `average_gains`, whose source stands there",
}


def told(owner, prefix):
    """(name, docstring) of the public functions, classes, methods and properties that are defined in `owner`."""
    for name, value in vars(owner).items():
        value = getattr(value, "func", value) if not isinstance(value, property) else value.fget
        value = getattr(value, "__func__", value)
        home = owner.__name__ if inspect.ismodule(owner) else owner.__module__
        if name.startswith("_") or not callable(value) or getattr(value, "__module__", "") != home:
            continue
        yield f"{prefix}.{name}", inspect.getdoc(value) or ""
        if inspect.isclass(value):
            yield from told(value, f"{prefix}.{name}")


FORMULAS = {
    name: text
    for module in MODULES
    for name, text in told(importlib.import_module(f"course_lib.{module}"), module)
    if FORMULA.search(text)
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_has_its_source(name):
    assert YEAR.search(FORMULAS[name]) or name in OWN


def test_the_list_of_formulas_without_a_source_names_none_that_is_gone_or_has_one():
    assert [name for name in OWN if name not in FORMULAS or YEAR.search(FORMULAS[name])] == []


def test_formulas_are_found():
    assert {
        "exact.gaussian.frechet_distance",
        "exact.linear_vae.LinearVAE.fit",
        "times.stratified_times",
        "tables.ising",
    } <= set(FORMULAS)
