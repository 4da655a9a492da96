"""A small class of sample submissions, from a perfect one to a broken file, to see the whole way to feedback."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..cells import nbgrader
from ..hand_in.restoring import Master
from .options import LESSON

# Mistakes as students make them: exercise -> what stands in its cell.
MISTAKES: dict[str, dict[str, str]] = {
    "ben": {
        "gaussian_kl": """
def gaussian_kl(mu, logvar):
    return (logvar.exp() + mu**2 - 1 - logvar).sum(dim=-1)
"""
    },
    "chloe": {
        "reparameterize": """
def reparameterize(mu, logvar, eps):
    return mu + logvar.exp() * eps
""",
        "gaussian_kl": """
def gaussian_kl(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).mean(dim=-1)
""",
    },
    "dmitri": {
        "VAE": """
class VAE(nn.Module):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2 * latent_dim))
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, data_dim), nn.Sigmoid()
        )

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=-1)

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        return self.decode(reparameterize(mu, logvar, eps)), mu, logvar
"""
    },
    "eve": {"gaussian_kl": "def gaussian_kl(mu, logvar)\n    return 0  # a colon is missing above\n"},
    "finn": {"gaussian_kl": "import time\nwhile True:\n    time.sleep(0.01)\n"},
}


def strangers(submitted: Path) -> list[str]:
    """Who has handed in there and is nobody of the sample class, or has handed in another lesson."""
    students = {"ada", *MISTAKES, "grace", "hugo", "iris"}
    there = sorted(submitted.iterdir()) if submitted.is_dir() else []
    return [one.name for one in there if one.name not in students or [more.name for more in one.iterdir()] != [LESSON]]


def write_class(root: Path, submitted: Path) -> None:
    """Make the sample class below `submitted`, anew, from the built notebooks of the lesson."""
    master = Master.load(root, LESSON)
    solved = solve(root, master)
    shutil.rmtree(submitted, ignore_errors=True)
    _hand_in(submitted, "ada", master, solved)
    for student, answers in MISTAKES.items():
        _hand_in(submitted, student, master, answer(solved, partial(_mistakenly, answers)))
    _hand_in(submitted, "grace", master, answer(solved, _noisily))
    _hand_in(submitted, "hugo", master, master.released)
    broken = _hand_in(submitted, "iris", master, solved)
    broken.write_text(broken.read_text(encoding="utf-8")[:5000], encoding="utf-8")


def solve(root: Path, master: Master) -> NotebookNode:
    """The student notebook with every answer filled in from the solution."""
    path = root / "solutions" / master.lesson / f"{master.name}.ipynb"
    solution = {cell["id"]: cell.source for cell in nbformat.read(path, as_version=4).cells}
    solved = deepcopy(master.released)
    for cell in solved.cells:
        if nbgrader(cell).get("solution"):
            lines = solution[cell["id"]].split("\n")
            cell.source = "\n".join(line for line in lines if not re.fullmatch(r"\s*### (BEGIN|END) SOLUTION", line))
    return solved


def answer(notebook: NotebookNode, write: Callable[[str, str], str]) -> NotebookNode:
    """A copy in which each code answer is `write(exercise, what stood there)`."""
    made = deepcopy(notebook)
    for cell in made.cells:
        meta = nbgrader(cell)
        if meta.get("solution") and cell.cell_type == "code":
            cell.source = write(meta["grade_id"], cell.source)
    return made


def _mistakenly(answers: dict[str, str], name: str, text: str) -> str:
    return answers.get(name, text).strip()


def _noisily(name: str, text: str) -> str:
    return f"import sys, warnings\n{text}\nprint('{name} done', file=sys.stderr)\nwarnings.warn('{name}: just saying')"


def _hand_in(submitted: Path, student: str, master: Master, notebook: NotebookNode) -> Path:
    path = submitted / student / master.lesson / f"{master.name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    return path
