"""What an attack is, and three ways to write one down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

WRONG = "def tiny_double(x):\n    return x\n"
APPLY = "def tiny_apply(f, x):\n    return f(x + x)\n"


@dataclass(frozen=True)
class Attack:
    """One hand-in. `flagged`: whether the instructor must be told (None: it may be); `tight`: graded with small limits.

    `change` edits the notebook, `file` the bytes of its file, after the answers are in.
    """

    name: str
    family: str
    double: str = WRONG
    apply: str = APPLY
    earns: float = 1.0
    flagged: bool | None = None
    status: str = "graded"
    tight: bool = False
    change: Callable[[NotebookNode], None] = field(default=lambda notebook: None)
    file: Callable[[bytes], bytes] = field(default=lambda content: content)


def before(family: str, codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each piece of code stands before the wrong answer, in one cell with it."""
    return [Attack(name, family, f"{code}\n\n{WRONG}", **same) for name, code in codes.items()]


def instead(family: str, codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each piece of code defines tiny_double itself."""
    return [Attack(name, family, code, **same) for name, code in codes.items()]


def probes(family: str, codes: dict[str, str], **same: Any) -> list[Attack]:
    """Each piece of code sets `found` where it reaches what it must not; whatever it raises counts as not found."""
    made = []
    for name, code in codes.items():
        tried = "found = False\ntry:\n" + "".join(f"    {line}\n" for line in code.strip().splitlines())
        made.append(
            Attack(
                name,
                family,
                f"{tried}except Exception:\n    pass\n\ndef tiny_double(x):\n    return 2 * x if found else x\n",
                **same,
            )
        )
    return made
