"""A made-up course of one lesson, small enough to be built and graded in a few seconds, for the tests beside this file.

Its hidden checks stand in the lesson itself: the first cell puts a stand-in for `autograder.grade` in place, which
gives `double` its points by two outcomes (a positive and a negative number) and `Counter` all or nothing.
"""

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Points:
    """What the builder asks of hidden checks."""

    name: str
    points: float


EXERCISES = {"double": Points("double", 2), "Counter": Points("Counter", 1.5)}

LESSON = r'''# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tiny lesson
#
# $$a + a = 2a \tag{1}$$

# %%
# The stand-in for hidden checks
import sys
import types


def grade(name, namespace):
    """The stand-in for hidden checks."""
    if name == "double":
        passed = [namespace["double"](3) == 6, namespace["double"](-1) == -2]
        print("secret remark" if not all(passed) else "all is well")
        return 1.0 * sum(passed)
    counter = namespace["Counter"]()
    return 1.5 * (counter.step() == 1 and counter.step() == 2)


sys.modules["autograder"] = types.ModuleType("autograder")
sys.modules["autograder"].grade = grade


def verify_equation(number, left, right):
    print(f"({number}) {left} = {right}")


# %%
# Equation (1)
verify_equation(1, 2 + 2, 2 * 2)

# %% [markdown]
# ### Exercise: `double` · ●○○ · 1 minutes · 2 points

# %% exercise="double"
def double(a):
    """Twice `a`."""
    ### BEGIN SOLUTION
    return 2 * a
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Think.</details>
# <details><summary>Hint 2: the idea</summary>Think again.</details>
# <details><summary>Hint 3: nearly the line</summary>Write.</details>

# %% checks="double"
# Checks of double
print(double(2))

# %% [markdown]
# Now a class.
#
# ### Exercise: `Counter` · ●○○ · 1 minutes · 1.5 points

# %% exercise="Counter"
class Counter:
    """Counts its steps: `step()` returns 1, 2, …"""

    def __init__(self):
        ### BEGIN SOLUTION
        self.steps = 0
        ### END SOLUTION

    def step(self):
        """One more."""
        ### BEGIN SOLUTION
        self.steps += 1
        return self.steps
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Think.</details>
# <details><summary>Hint 2: the idea</summary>Think again.</details>
# <details><summary>Hint 3: nearly the line</summary>Write.</details>

# %% checks="Counter"
# Checks of Counter
print(Counter().step())

# %% [markdown] written="why" points=3
# ### Question: `why` · ●○○ · 1 minutes · 3 points
#
# Why is $2a$ the sum of $a$ and $a$?
#
# ### BEGIN MARK SCHEME
# 3 points for the rubric's word: distributivity.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# The model answer: $a + a = (1 + 1) a$.
# ### END SOLUTION

# %% [markdown]
# ### Step: `doubled` · ●○○ · 1 minutes

# %% step="doubled"
def doubled(a):
    """The next line."""
    ### BEGIN SOLUTION
    return a + a
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Think.</details>
# <details><summary>Hint 2: the idea</summary>Think again.</details>
# <details><summary>Hint 3: nearly the line</summary>Write.</details>

# %% checks="doubled"
# Checks of doubled
print(doubled(3))

# %% predict="my_list"
my_list = [0, 1, 4]  # your prediction

# %% tags=["experiment"]
# Experiment: small numbers
print([double(a) for a in range(3)])
'''


def tiny_course(root: Path, text: str = LESSON) -> Path:
    """Lay the course out under `root`; returns the lesson's source."""
    source = root / "solutions" / "01-tiny" / "tiny.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text, encoding="utf-8")
    # A made-up lesson has no hidden checks to call from outside: its hidden lines run in nbgrader's own kernel.
    config = (CHECKOUT / "nbgrader_config.py").read_text(encoding="utf-8")
    stock = config.replace("autograder.plugins.outside.GradeOutside", "nbgrader.preprocessors.Execute")
    (root / "nbgrader_config.py").write_text(stock, encoding="utf-8")
    return source
