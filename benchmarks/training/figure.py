"""The results as one picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.training import quality, sampling, speed
from course_lib import plots

COLORS = {
    "ours": plots.COLOR["model"],
    "plain": plots.COLOR["data"],
    "tutorial": plots.COLOR["guess"],
    "diffusers": plots.COLOR["prior"],
    "lightning": plots.COLOR["posterior"],
    "lucidrains": plots.COLOR["bound"],
}
LIMIT = plots.COLOR["exact"]


def draw(content: dict[str, Any], path: Path) -> None:
    """One panel for each part that was measured, two for quality."""
    panels: list[tuple[Callable[[Any, Any], None], Any]] = []
    if content.get("speed", {}).get("data", {}).get("rounds"):
        panels.append((_speed, speed.summarise(content["speed"]["data"])))
    if content.get("sampling", {}).get("data", {}).get("rounds"):
        panels.append((_sampling, sampling.summarise(content["sampling"]["data"])))
    if content.get("quality", {}).get("data", {}).get("runs"):
        rows = quality.summarise(content["quality"]["data"])
        panels += [(_curves, rows), (_quality, (rows, content["quality"]["data"]["reference"]))]
    if not panels:
        return
    fig, axes = plots.figure(-(-len(panels) // 2), 2, width=11.0, height=3.8 * -(-len(panels) // 2), squeeze=False)
    for ax, (panel, rows) in zip(axes.flat, panels, strict=False):
        panel(ax, rows)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    fig.savefig(path)


def _speed(ax: Any, rows: dict[str, Any]) -> None:
    names = [name for name in COLORS if name in rows][::-1]
    rates = [rows[name]["steps_per_second"] for name in names]
    ends = [[1e3 / ms for ms in rows[name]["step_ms_quartiles"]] for name in names]
    spread = [
        [max(0, r - e[1]) for r, e in zip(rates, ends, strict=True)],
        [max(0, e[0] - r) for r, e in zip(rates, ends, strict=True)],
    ]
    ax.barh(names, rates, xerr=spread, color=[COLORS[name] for name in names], error_kw={"ecolor": LIMIT})
    for kind, style in (("bare", "--"), ("graph", ":")):
        limits = [row["steps_per_second"] for name, row in rows.items() if name.startswith(kind)]
        if limits:
            label = f"limit, {kind} step: {max(limits):.0f}"
            ax.axvline(max(limits), color=LIMIT, linestyle=style, linewidth=1.6, label=label)
    ax.set(title="Training", xlabel="steps per second (quartiles)")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower right")


def _sampling(ax: Any, rows: dict[str, Any]) -> None:
    names = [name for name in rows if not name.endswith("alone")][::-1]
    rates = [rows[name]["samples_per_second"] for name in names]
    limits = [rows[f"{name.partition(' ')[0]} network alone"]["samples_per_second"] for name in names]
    shares = [rate / limit for rate, limit in zip(rates, limits, strict=True)]
    said = [f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s" for rate in rates]
    labels = [f"{name}, {rate}" for name, rate in zip(names, said, strict=True)]
    ax.barh(labels, shares, color=[COLORS[name.partition(" ")[2].partition(",")[0]] for name in names])
    ax.axvline(1, color=LIMIT, linestyle="--", linewidth=1.6)
    ax.set(title="Sampling", xlabel="samples per second, as a share of the network alone")
    ax.grid(axis="y", visible=False)


def _curves(ax: Any, rows: dict[str, Any]) -> None:
    for name, row in rows.items():
        _, seconds, loss, error = zip(*row["curve"], strict=True)
        ax.errorbar(seconds, loss, error, color=COLORS[name], marker="o", markersize=4, capsize=2, label=name)
    ax.axhline(quality.TARGET, color=LIMIT, linestyle="--", linewidth=1.2)
    steps = ", ".join(str(point[0]) for point in rows["ours"]["curve"])
    ax.set(title=f"Whole runs of {steps} steps", xlabel="seconds", ylabel="held-out loss")
    ax.legend()


def _quality(ax: Any, rows_and_reference: tuple[dict[str, Any], dict[str, float]]) -> None:
    rows, real = rows_and_reference
    for name, row in reversed(rows.items()):  # ours on top
        (x, dx), (y, dy) = row["kernel"], row["two_sample"]
        ax.errorbar(x, y, dy, dx, color=COLORS[name], marker="o", capsize=2, label=name)
    ax.plot(real["kernel"], real["two_sample"], "*", color=LIMIT, markersize=11, label="training digits", linestyle="")
    ax.set(title="Samples after equal steps", xlabel="kernel distance to held-out digits", ylabel="two-sample accuracy")
    ax.legend()
