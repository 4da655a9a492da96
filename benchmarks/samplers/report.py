"""docs/samplers.md: the words of page.md around numbers that come from the runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from .lineup import SAMPLERS
from .table import BUDGETS, VARIANCES, Run, end, order, ranking, within

Results = dict[tuple[str, str], list[Run]]
LIBRARIES = {"course": "the course", "diffusers": "diffusers", "azula": "azula", "k_diffusion": "k-diffusion"}
LOW, HIGH = VARIANCES.index(0.25), VARIANCES.index(1.0)


def percent(error: float) -> str:
    """A relative error with its sign, to a tenth of a per cent or to one figure."""
    return f"{100 * error:+.1f}%" if abs(error) >= 0.00095 else f"{100 * error:+.1g}%"


def listed(errors: Iterable[float]) -> str:
    return ", ".join(percent(error) for error in errors)


def name_of(key: tuple[str, str]) -> str:
    return f"{key[1]} ({LIBRARIES[key[0]]})"


def rows(header: Sequence[str], body: Iterable[Sequence[Any]], words: int = 1) -> str:
    """A Markdown table whose first `words` columns are text."""
    rule = ["---" if i < words else "--:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, rule, *body])


def main_table(results: Results) -> str:
    """All samplers at each budget of calls."""
    body: list[list[str]] = []
    for budget in BUDGETS:
        body.append([f"**at most {budget} calls**", *[""] * 7])
        for key, runs in results.items():
            if run := within(runs, budget):
                mean = "" if math.isnan(run.mean) else f"{run.mean:.3f}"
                errors = map(percent, run.errors)
                body.append([name_of(key), str(run.calls), *errors, f"{100 * run.digits:.1f}%", mean])
    return rows(["sampler", "calls", "variance 0.04", "0.25", "1", "4", "digits", "mean"], body)


def order_table(results: Results) -> str:
    """What the papers promise, and what is found."""
    body = []
    for sampler in SAMPLERS:
        runs = results[sampler.library, sampler.name]
        found = [f"{order(runs, column):.2f}" if runs[-1].calls > 150 else "–" for column in (LOW, HIGH)]
        left = f"{abs(end(runs, LOW)):.1g} at {max(run.calls for run in runs)}"
        promised = sampler.promised or "none"
        body.append([name_of((sampler.library, sampler.name)), sampler.shipped, promised, *found, left])
    header = [
        "sampler",
        "as set here",
        "order in the paper",
        "found, v = 0.25",
        "v = 1",
        "error left, v = 0.25, at calls",
    ]
    return rows(header, body, words=2)


def places(results: Results, budget: int) -> str:
    """The three best for each kind of data."""
    kinds: list[tuple[str, Any]] = [
        (f"variance {variance:g}", lambda run, c=column: run.errors[c]) for column, variance in enumerate(VARIANCES)
    ]
    body = [
        [kind, *(f"{name_of(key)} {percent(error)[1:]}" for error, key in ranking(results, budget, value)[:3])]
        for kind, value in [*kinds, ("digits", lambda run: run.digits)]
    ]
    return rows([f"best at {budget} calls", "first", "second", "third"], body, words=4)


def ranks(results: Results, budget: int = 20) -> dict[tuple[str, str], tuple[int, int]]:
    """Each sampler's places on variance 0.25 and on variance 1."""
    order_of = [
        [key for _, key in ranking(results, budget, lambda run, c=column: run.errors[c])] for column in (LOW, HIGH)
    ]
    return {key: (order_of[0].index(key) + 1, order_of[1].index(key) + 1) for key in order_of[0]}


def worst(run: Run) -> float:
    """The largest of the five errors."""
    return max(run.digits, *map(abs, run.errors))


def advice(results: Results) -> str:
    """Which sampler at 10, 20 and 50 calls."""
    lines = []
    for budget in BUDGETS:
        (least, steady), (more, second), *_ = ranking(results, budget, worst)
        error, best = ranking(results, budget, lambda run: run.digits)[0]
        lines.append(
            f"- **{budget} calls.** The smallest worst case over the five columns has {name_of(steady)}, "
            f"{100 * least:.1f}%, then {name_of(second)}, {100 * more:.1f}%; on the digits alone {name_of(best)} leads "
            f"with {100 * error:.1f}%."
        )
    own = {budget: within(results["course", "DDIM"], budget) for budget in BUDGETS}
    reached = ", ".join(f"{100 * run.digits:.1f}% at {budget}" for budget, run in own.items() if run)
    lines.append(
        f"- **Your own `ddim_step`** is off by {reached} calls on the digits: seldom among the best, always "
        "too narrow, never a surprise. Start with it; change it when the network is good enough to tell them apart."
    )
    return "\n".join(lines)


def as_text(results: Results, cases: dict[str, Any], versions: dict[str, str]) -> str:
    """The whole page."""
    last, fifteenth, too_many = cases["last step"], cases["fifteenth step"], cases["one time too many"]
    places_of = ranks(results)
    rises = next(key for key, (_, high) in places_of.items() if high == 1)
    falls = next(key for key, (low, _) in places_of.items() if low == 2)
    values = {
        "count": len(results) - sum(library == "course" for library, _ in results),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "ddim_calls": cases["calls"]["DDIM"],
        "pndm_calls": cases["calls"]["PNDM"],
        "heun_calls": cases["calls"]["Heun"],
        "main_table": main_table(results),
        "order_table": order_table(results),
        "last_step": rows(
            ["variance", *(f"Heun, {n} steps" for n in last["found"]), "left for ever"],
            [
                [f"{v:g}", *(percent(found[i]) for found in last["found"].values()), percent(last["left for ever"][i])]
                for i, v in enumerate(last["variances"])
            ],
        ),
        "fifteenth": rows(
            ["variance", *(f"{n} steps" for n in fifteenth)],
            [[f"{v:g}", *(percent(found[i]) for found in fifteenth.values())] for i, v in enumerate(VARIANCES)],
        ),
        "exponential": ", ".join(f"{percent(errors[HIGH])} at {n}" for n, errors in cases["exponential end"].items()),
        "first_time": rows(
            ["steps", "first time", "alpha_bar there"],
            [[n, t, f"{level:.2g}"] for n, (t, level) in cases["first time"].items()],
            words=0,
        ),
        "too_many": ", ".join(map(str, too_many["numbers"])),
        "too_many_deviations": ", ".join(f"{n}: {value:.3g}" for n, value in too_many["deviation"].items()),
        "clipped": listed(cases["clipped"]["shipped"]),
        "unclipped": listed(cases["clipped"]["clip_sample=False"]),
        "rises": name_of(rises),
        "rises_low": places_of[rises][0],
        "ranked": len(places_of),
        "falls": name_of(falls),
        "falls_high": places_of[falls][1],
        "places": "\n\n".join(places(results, budget) for budget in BUDGETS),
        "advice": advice(results),
    }
    page = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    return Template(page).substitute({name: str(value) for name, value in values.items()})
