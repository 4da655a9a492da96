"""What the checks of several exercises of 02-vae share."""

from __future__ import annotations

from ...sandbox.wire import Source


def smooth(case) -> Source:
    """A wavy function with its own numbers, that no power of z or symmetry of the noise makes special."""
    frequency, phase, slope = case.number(1.2, 2.5), case.number(0.3, 1.2), case.number(0.4, 1.5)
    return Source(f"def f(z):\n    return torch.sin({frequency!r} * z + {phase!r}) + {slope!r} * z**2 + 1.5", "f")


def setting(case):
    """mu, sigma far from 0 and 1, and noise. A multiple of 1/64 is the same number in float32 and in float64."""
    return case.integer(26, 76) / 64, case.integer(23, 51) / 64, case.normal(case.integer(5, 9))
