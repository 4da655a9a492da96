"""docs/samplers.md: the words of page.md around numbers that come from the runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from .lineup import SAMPLERS
from .table import BUDGETS, GRID, VARIANCES, Run, end, order, ranking, within

Results = dict[tuple[str, str], list[Run]]
LIBRARIES = {"course": "the course", "diffusers": "diffusers", "azula": "azula", "k_diffusion": "k-diffusion"}
LOW, HIGH = VARIANCES.index(0.25), VARIANCES.index(1.0)


def percent(error: float) -> str:
    """A relative error with its sign, to a tenth of a per cent or to one figure; below float32's own it is 0."""
    if abs(error) < 5e-8:
        return "0%"
    return f"{100 * error:+.1f}%" if abs(error) >= 0.00095 else f"{100 * error:+.1g}%"


def size(error: float) -> str:
    """A relative error without its sign."""
    return percent(abs(error)).lstrip("+")


def listed(errors: Iterable[float]) -> str:
    return ", ".join(percent(error) for error in errors)


def listed_last(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def name_of(key: tuple[str, str]) -> str:
    return f"{key[1]} ({LIBRARIES[key[0]]})"


def rows(header: Sequence[str], body: Iterable[Sequence[Any]], words: int = 1) -> str:
    """A Markdown table whose first `words` columns are text."""
    rule = ["---" if i < words else "--:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, rule, *body])


def short_table(results: Results) -> str:
    """All samplers at all budgets, on two variances and on the digits."""
    body = []
    for key, runs in results.items():
        cells = [name_of(key)]
        for budget in BUDGETS:
            run = within(runs, budget)
            shown = [percent(run.errors[LOW]), percent(run.errors[HIGH]), f"{100 * run.digits:.1f}%"] if run else []
            cells += shown or ["–"] * 3
        body.append(cells)
    header = [cell for budget in BUDGETS for cell in (f"{budget} calls: v = 0.25", "1", "digits")]
    return rows(["sampler", *header], body)


def main_table(results: Results) -> str:
    """All samplers at each budget of calls, with all that is measured."""
    body: list[list[str]] = []
    for budget in BUDGETS:
        body.append([f"**at most {budget} calls**", *[""] * 7])
        for key, runs in results.items():
            if run := within(runs, budget):
                errors = map(percent, run.errors)
                body.append([name_of(key), str(run.calls), *errors, f"{100 * run.digits:.1f}%", f"{run.mean:.3f}"])
    return rows(["sampler", "calls", "variance 0.04", "0.25", "1", "4", "digits", "mean"], body)


def slope(runs: list[Run], column: int) -> str:
    """The order found, where there is one."""
    if abs(end(runs, column)) < 1e-9:
        return "exact"
    return f"{order(runs, column):.2f}" if runs[-1].calls > 150 else "–"


def order_table(results: Results) -> str:
    """What the papers promise, and what is found."""
    body = []
    for sampler in SAMPLERS:
        runs = results[sampler.library, sampler.name]
        found = [slope(runs, column) for column in (LOW, HIGH)]
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
        [kind, *(f"{name_of(key)} {size(error)}" for error, key in ranking(results, budget, value)[:3])]
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
    """The largest error on GRID and on the digits."""
    return max(run.digits, *map(abs, run.grid))


def advice(results: Results) -> str:
    """Which sampler at 10, 20 and 50 calls, of all and of diffusers alone, and how it does on other data."""
    body = []
    for budget in BUDGETS:
        for library in ("any", "diffusers"):
            among = {key: runs for key, runs in results.items() if library in ("any", key[0])}
            (digits, take), (more, following), *_ = ranking(among, budget, lambda run: run.digits)
            (least, safe), *_ = ranking(among, budget, worst)
            run = within(results[take], budget)
            assert run is not None
            places_of = [place_on(results, budget, column, take) for column in range(len(GRID))]
            body.append(
                [
                    f"{budget}, {library}",
                    name_of(take),
                    size(digits),
                    f"{name_of(following)} {size(more)}",
                    f"{size(statistics.median(map(abs, run.grid)))}, {size(worst(run))}",
                    f"{min(places_of)} to {max(places_of)}",
                    f"{name_of(safe)} {size(least)}",
                ]
            )
    header = ["calls, library", "take", "digits", "next", "middle, largest error", "place", "least largest error"]
    return rows(header, body, words=2)


def place_on(results: Results, budget: int, column: int, key: tuple[str, str]) -> int:
    """A sampler's place on one variance of GRID, from 1 on."""
    return [name for _, name in ranking(results, budget, lambda run: run.grid[column])].index(key) + 1


def firsts(results: Results, budget: int) -> int:
    """How many samplers are the best on some variance of GRID."""
    return len({ranking(results, budget, lambda run, c=column: run.grid[c])[0][1] for column in range(len(GRID))})


def own(results: Results) -> str:
    """What the student's `ddim_step` reaches on the digits."""
    found = {budget: within(results["course", "DDIM"], budget) for budget in BUDGETS}
    return ", ".join(f"{100 * run.digits:.1f}% at {budget}" for budget, run in found.items() if run)


def left_table(case: dict[str, Any], column: str) -> str:
    """Errors by variance and numbers of steps, beside what is left of them."""
    body = [
        [f"{v:g}", *(percent(found[i]) for found in case["found"].values()), percent(case["left for ever"][i])]
        for i, v in enumerate(case["variances"])
    ]
    return rows(["variance", *map(column.format, case["found"]), "left for ever"], body)


def as_text(results: Results, cases: dict[str, Any], versions: dict[str, str]) -> str:
    """The whole page."""
    fifteenth, too_many = cases["fifteenth step"], cases["one time too many"]
    places_of = ranks(results)
    rises = next(key for key, (_, high) in places_of.items() if high == 1)
    falls = next(key for key, (low, _) in places_of.items() if low == 2)
    values = {
        "count": len(results) - sum(library == "course" for library, _ in results),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "ddim_calls": cases["calls"]["DDIM"],
        "pndm_calls": cases["calls"]["PNDM"],
        "heun_calls": cases["calls"]["Heun"],
        "short_table": short_table(results),
        "main_table": main_table(results),
        "order_table": order_table(results),
        "last_step": left_table(cases["last step"], "Heun, {} steps"),
        "no_last_step": left_table(cases["no last step"], "DPM-Solver fast, {} calls"),
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
        "own": own(results),
        "grid": len(GRID),
        "firsts": listed_last([f"{firsts(results, budget)} at {budget} calls" for budget in BUDGETS]),
        "built_in": ", ".join(
            f"{listed(run.errors[c] for c in (LOW, HIGH))} at {budget}"
            for budget in BUDGETS
            if (run := within(results["azula", "Rosenbrock AB"], budget))
        ),
        "built_in_left": percent(end(results["azula", "Rosenbrock AB"], LOW)),
    }
    page = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    return Template(page).substitute({name: str(value) for name, value in values.items()})
