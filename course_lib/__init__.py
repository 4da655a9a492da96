"""Everything a notebook of the course imports; never an exercise's answer.

One notation holds everywhere:

| symbol          | name in code        | meaning                                                          |
|-----------------|---------------------|------------------------------------------------------------------|
| x, x_0          | `x`, `x0`           | a clean data point; a batch is (B, D) or (B, C, H, W)            |
| z               | `z`                 | a latent variable, (B, J), with prior N(0, I)                    |
| p_theta, q_phi  | `decode`, `encode`  | the model (decoder) and the approximate posterior (encoder)      |
| mu, log sigma^2 | `mu`, `logvar`      | mean and log-variance of a diagonal Gaussian, natural logarithm  |
| sigma, sigma^2  | `sigma`, `sigma2`   | a standard deviation, a variance; a name never stands for both   |
| eps             | `eps`               | noise from N(0, I), an argument, so that checks can repeat it    |
| t = 1..T        | `t`                 | diffusion time; t = 0 is clean data; a LongTensor (B,)           |
| beta_t, alpha_t | `beta`, `alpha`     | added variance, 1 - beta_t; tables have T + 1 entries, beta_0 = 0 |
| alpha-bar_t     | `alpha_bar`         | product of alpha_1..alpha_t, alpha_bar[0] = 1                    |
| x_t             | `xt`                | sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps                |
| estimates       | `x0_hat`, `eps_hat` | what a network predicts                                          |
| B, D, J, K, T   | same                | batch, data and latent dimension, samples or components, steps   |

Likelihoods are in nats per example (summed over the event, averaged over the batch); bits per dimension only
where named so.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_lib import (
        checking,
        data,
        device,
        exact,
        film,
        logbook,
        metrics,
        networks,
        plots,
        schematic,
        shapes,
        tables,
        training,
        widgets,
        worlds,
    )
    from course_lib.algebra import expect_same
    from course_lib.chains import chain
    from course_lib.checking import CheckFailed, expect, verify_equation
    from course_lib.device import get_device, seed_everything
    from course_lib.logbook import progress
    from course_lib.times import stratified_times
    from course_lib.training import History, budget, checkpoint, fit, track

__all__ = [
    "CheckFailed",
    "History",
    "budget",
    "chain",
    "checking",
    "checkpoint",
    "data",
    "device",
    "exact",
    "expect",
    "expect_same",
    "film",
    "fit",
    "get_device",
    "logbook",
    "metrics",
    "networks",
    "plots",
    "progress",
    "schematic",
    "seed_everything",
    "shapes",
    "stratified_times",
    "tables",
    "track",
    "training",
    "verify_equation",
    "widgets",
    "worlds",
]

_HOME = {  # where the names stand that are no modules
    "CheckFailed": "checking",
    "History": "training",
    "budget": "training",
    "chain": "chains",
    "checkpoint": "training",
    "expect": "checking",
    "expect_same": "algebra",
    "fit": "training",
    "get_device": "device",
    "progress": "logbook",
    "seed_everything": "device",
    "stratified_times": "times",
    "track": "training",
    "verify_equation": "checking",
}


def _found(name: str) -> Any:
    """A name of `__all__`, imported when it is first asked for: PyTorch takes a second, and not all who come need it.

    Raises ImportError, naming the doctor, where a package is missing or raises whatever a broken one raises;
    `course_lib.doctor` itself is found all the same.
    """
    if name not in __all__:
        raise AttributeError(f"module 'course_lib' has no attribute {name!r}")
    try:
        module = import_module(f"course_lib.{_HOME.get(name, name)}")
        found = getattr(module, name) if name in _HOME else module
    except Exception as error:
        text = f"{error}: `python -m course_lib.doctor` says what is broken and how to mend it"
        raise ImportError(text, name=getattr(error, "name", None)) from error
    globals()[name] = found
    return found


def load() -> None:
    """Import everything now."""
    for name in __all__:
        _found(name)


def _load_in_notebook() -> None:
    """In a notebook everything comes at once, with what errors look like there, and with notes of what is done."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return
    try:
        load()
        from course_lib import complaint, logbook

        complaint.install()
        logbook.install()
    except Exception:  # whoever asks for a name is told
        return


if not TYPE_CHECKING:
    __getattr__ = _found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_load_in_notebook()
