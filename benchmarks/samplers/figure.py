"""Two figures for docs/samplers.md, in ink that reads on a light page and on a dark one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from course_lib import picture, plots

from .report import name_of
from .table import VARIANCES, Run, within

Results = dict[tuple[str, str], list[Run]]

# Role of colour, line, marker: a sampler is never told by colour alone.
SHOWN: dict[tuple[str, str], tuple[str, str, str]] = {
    ("course", "DDIM"): ("data", "-", "o"),
    ("course", "Heun"): ("posterior", "-", "s"),
    ("diffusers", "Euler ancestral"): ("noise", ":", "v"),
    ("diffusers", "PLMS"): ("prior", "-", "^"),
    ("diffusers", "DPM-Solver++ 2M"): ("model", "-", "D"),
    ("diffusers", "DPM-Solver++ 2M, Karras"): ("model", "--", "D"),
    ("diffusers", "DEIS"): ("bound", "--", "P"),
    ("k_diffusion", "DPM-Solver fast"): ("guess", "-.", "X"),
}


def _calls(results: Results) -> Any:
    fig, axes = plots.figure(1, 2, width=9.4, height=4.4, sharey=True)
    for ax, variance in zip(axes, (0.25, 1.0), strict=True):
        column = VARIANCES.index(variance)
        for key, (role, style, marker) in SHOWN.items():
            runs = sorted(results[key], key=lambda run: run.calls)
            xs = [run.calls for run in runs if run.calls >= 5]
            ys = [max(abs(run.errors[column]), 1e-6) for run in runs if run.calls >= 5]
            look = {"linestyle": style, "marker": marker, "markersize": 4, "linewidth": 1.6}
            plots.curve(xs, ys, role, ax=ax, label=name_of(key), **look)
        ax.set(xscale="log", yscale="log", xlabel="network calls", ylim=(1e-6, 1.0))
        ax.set_xticks([5, 10, 20, 50, 100, 500], ["5", "10", "20", "50", "100", "500"])
        ax.minorticks_off()
        ax.set_title(f"data of variance {variance:g}")
        ax.get_legend().remove()
    axes[0].set_ylabel("relative error of the deviation")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return fig


def _ranks(results: Results, budget: int) -> Any:
    fig, ax = plots.figure(width=7.6, height=4.4)
    for key, (role, style, marker) in SHOWN.items():
        run = within(results[key], budget)
        if run is None:
            continue
        ys = [max(abs(error), 1e-4) for error in run.errors]
        plots.curve(VARIANCES, ys, role, ax=ax, linestyle=style, marker=marker, linewidth=1.6, label=name_of(key))
    ax.set(xscale="log", yscale="log", xlabel="variance of the data", ylabel="relative error of the deviation")
    ax.set_xticks(VARIANCES, [f"{variance:g}" for variance in VARIANCES])
    ax.minorticks_off()
    ax.set_title(f"At most {budget} network calls")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    return fig


def save(results: Results, folder: Path) -> None:
    """samplers-calls.png and samplers-ranks.png."""
    for name, fig in (("samplers-calls", _calls(results)), ("samplers-ranks", _ranks(results, 20))):
        image, _ = picture.render(fig, few_colours=True)
        (folder / f"{name}.png").write_bytes(picture.small(image))
