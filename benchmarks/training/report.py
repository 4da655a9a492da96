"""The Markdown page of the results."""

from typing import Any

from benchmarks.training import quality, sampling, speed

# What the figures are held against: at most 3% slower than the plain loop, at least 60% of the graph's rate.
CPU_TARGET, GRAPH_TARGET, PEER_TARGET = 1.03, 0.6, 5.0


def page(content: dict[str, Any]) -> str:
    """All parts that were measured."""
    lines = ["# Training and sampling beside other libraries", ""]
    for name, section in (("speed", _speed), ("sampling", _sampling), ("quality", _quality)):
        part = content.get(name)
        if part and (part["data"].get("rounds") or part["data"].get("runs")):
            lines += [*section(part), "", _measured_on(part), ""]
    return "\n".join(lines).rstrip() + "\n"


def _measured_on(part: dict[str, Any]) -> str:
    machine, versions = part["machine"], part["versions"]
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    settings = ", ".join(f"{name} {value}" for name, value in part["settings"].items())
    left_out = "".join(f" Left out: {name} ({why})." for name, why in part["missing"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, device {machine['device']}; "
        f"{packages}. Settings: {settings}.{left_out}"
    )


def _speed(part: dict[str, Any]) -> list[str]:
    data, rows = part["data"], speed.summarise(part["data"])
    facts = data["limit"]
    peak = facts["peak"]
    floor = 1e3 * max(facts["flops"] / peak["flops_per_second"], facts["bytes"] / peak["bytes_per_second"])
    lines = [
        "## Steps per second",
        "",
        f"One network of {facts['parameters']:,} parameters, {len(data['rounds'])} rounds of {data['steps'][0]} and "
        f"{data['steps'][1]} steps; medians, quartiles in brackets.",
        "",
        "| | steps/s | ms per step | processor ms | time / plain | operators per step | start, s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["step_ms"]):
        operators = "a graph" if row["operators"] is None else f"{row['operators']:.0f}"
        lines.append(
            f"| {LABELS.get(name, name)} | {row['steps_per_second']:.1f} | {row['step_ms']:.2f} "
            f"{_range(row['step_ms_quartiles'], 2)} | {row['step_cpu_ms']:.2f} | {row['time_over_plain']:.3f} "
            f"{_range(row['time_over_plain_quartiles'], 3)} | {operators} | {max(row['start_seconds'], 0):.2f} |"
        )
    mine, bare = rows["ours"], min((rows[name] for name in rows if name.startswith("bare")), key=_step_ms)
    graphs = [row for name, row in rows.items() if name.startswith("graph")]
    limit = min(graphs, key=_step_ms) if graphs else bare
    recorded = f", {limit['step_ms']:.2f} ms as one CUDA graph" if graphs else ""
    rate = facts["flops"] / (bare["step_ms"] / 1e3)
    lines += [
        "",
        f"**The limit.** A bare step, forward, backward and optimiser on one fixed batch, takes {bare['step_ms']:.2f} "
        f"ms in the better memory order{recorded}; the course's "
        f"loop reaches {limit['step_ms'] / mine['step_ms']:.0%} of that rate. It is "
        f"{facts['flops'] / 1e9:.3f} GFLOP, {facts['bytes'] / 1e6:.0f} MB read and written and "
        f"{facts['operators']} operators. Measured here: {peak['flops_per_second'] / 1e9:.0f} GFLOP/s in a matrix "
        f"product, {peak['bytes_per_second'] / 1e9:.1f} GB/s in a copy, {1e6 * peak['operator_seconds']:.1f} us for "
        f"the smallest operator. So a step needs at least {1e3 * facts['flops'] / peak['flops_per_second']:.2f} ms of "
        f"arithmetic, {1e3 * facts['bytes'] / peak['bytes_per_second']:.2f} ms of memory traffic if nothing stays in "
        f"the cache, and {1e3 * facts['operators'] * peak['operator_seconds']:.2f} ms of calls; the bare step runs at "
        f"{rate / 1e9:.1f} GFLOP/s, {floor / bare['step_ms']:.0%} of the larger of the first two.",
        "",
        "Where the rest goes, each part on its own: "
        + ", ".join(f"{name} {value:.2f} ms" for name, value in facts["parts_ms"].items())
        + f". The course's step is {mine['step_ms'] - limit['step_ms']:.2f} ms longer than the "
        + ("graph of the bare one." if graphs else "bare one."),
        "",
        *_targets(rows, part["machine"]["device"] != "cpu"),
    ]
    return lines


def _targets(rows: dict[str, dict[str, Any]], gpu: bool) -> list[str]:
    mine = rows["ours"]["step_ms"]
    peers = {name: row["step_ms"] / mine for name, row in rows.items() if name in PEERS}
    beside = ", ".join(f"{name} {ratio:.2f}" for name, ratio in peers.items()) or "none installed"
    if not gpu:
        ratio = rows["ours"]["time_over_plain"]
        return [
            f"- not slower than the plain loop by more than 3%: {ratio - 1:+.1%} of time "
            f"({rows['ours']['step_cpu_ms'] / rows['plain']['step_cpu_ms'] - 1:+.1%} of processor time), "
            f"{_met(ratio <= CPU_TARGET)}",
            f"- faster than each library (times as fast): {beside}{_all(peers, 1.0)}",
        ]
    lines = [f"- 5 times each library (times as fast): {beside}{_all(peers, PEER_TARGET)}"]
    graphs = [row["step_ms"] for name, row in rows.items() if name.startswith("graph")]
    if graphs:
        share = min(graphs) / mine
        lines.append(f"- 60% of the whole-step CUDA graph's rate: {share:.0%}, {_met(share >= GRAPH_TARGET)}")
    return lines


def _all(ratios: dict[str, float], target: float) -> str:
    return f", {_met(all(ratio >= target for ratio in ratios.values()))}" if ratios else ""


def _sampling(part: dict[str, Any]) -> list[str]:
    data, rows = part["data"], sampling.summarise(part["data"])
    lines = [
        "## Samples per second",
        "",
        f"Batches of {data['batch']}; DDPM with {data['steps']['ddpm']} steps, DDIM with {data['steps']['ddim']}; "
        f"{len(data['rounds'])} rounds. The network alone, called operator by operator, is the limit without a graph.",
        "",
        "| | samples/s | ms per sampler step | processor ms | operators per step |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {row['samples_per_second']:.1f} {_range(row['samples_per_second_quartiles'], 1)} | "
        f"{row['step_ms']:.2f} | {row['step_cpu_ms']:.2f} | {row['operators']:.0f} |"
        for name, row in rows.items()
    ]
    for kind in ("ddpm", "ddim"):
        alone = rows[f"{kind} network alone"]["samples_per_second"]
        for name, which in ((f"{kind} ours", ", first walk"), (f"{kind} {sampling.LATER}", ", later walks")):
            if name not in rows:
                continue
            mine = rows[name]["samples_per_second"]
            said = f"{mine / alone:.0%} of the network alone"
            if f"{kind} diffusers" in rows:
                ratio = mine / rows[f"{kind} diffusers"]["samples_per_second"]
                said += f", {ratio:.2f} times diffusers"
                if part["machine"]["device"] != "cpu":
                    said += f" (5 times: {_met(ratio >= PEER_TARGET)})"
            several = f"{kind} {sampling.LATER}" in rows
            lines += ["", f"- {kind}{which if several else ''}: {said}"]
    return lines


def _quality(part: dict[str, Any]) -> list[str]:
    data = part["data"]
    rows, real = quality.summarise(data), data["reference"]
    some = rows["ours"]
    lines = [
        "## Quality after equal steps",
        "",
        f"{some['steps']} steps, {some['seeds']} seeds, mean and standard error; samples of the averaged weights, all "
        "drawn by the same chain, beside the held-out digits. The kernel distance's bandwidth is a third of the median "
        "distance between held-out digits.",
        "",
        f"| | held-out loss | kernel distance | two-sample accuracy | s to held-out loss {quality.TARGET} |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        seconds = row["seconds_to_target"]
        reached = _with_error(seconds, 1) if seconds else f"reached by {row['target_reached']} of {row['seeds']}"
        lines.append(
            f"| {LABELS.get(name, name)} | {_with_error(row['held_out'], 4)} | {_with_error(row['kernel'], 5)} | "
            f"{_with_error(row['two_sample'], 3)} | {reached} |"
        )
    lines += [
        f"| training digits | | {real['kernel']:.5f} (95% of chance {real['kernel_null95']:.5f}) | "
        f"{real['two_sample']:.3f} | |",
        "",
        "Ours minus theirs, seed by seed (negative is better); worse where Student's t says so at 1%, one-sided:",
        "",
    ]
    for name, row in rows.items():
        if name == "ours":
            continue
        worse = any(quality.worse(row[f"{what}_ours_minus"], row["seeds"]) for what in ("kernel", "two_sample"))
        lines.append(
            f"- {name}: kernel distance {_with_error(row['kernel_ours_minus'], 5, sign=True)}, two-sample accuracy "
            f"{_with_error(row['two_sample_ours_minus'], 3, sign=True)}: {'worse' if worse else 'no worse'}"
        )
    return lines


PEERS = ("diffusers", "lightning", "lucidrains")
LABELS = {
    "ours": "**course_lib's `fit`**",
    "plain": "plain PyTorch loop",
    "tutorial": "tutorial's PyTorch loop",
    "diffusers": "diffusers, training script",
    "lightning": "Lightning",
    "lucidrains": "lucidrains' Trainer",
    "bare": "*limit: bare step*",
    "bare, channels last": "*limit: bare step, channels last*",
    "graph": "*limit: CUDA graph of the bare step*",
    "graph, channels last": "*limit: CUDA graph of the bare step, channels last*",
}


def _step_ms(row: dict[str, Any]) -> float:
    return row["step_ms"]


def _met(yes: bool) -> str:
    return "met" if yes else "**not met**"


def _range(ends: list[float], digits: int) -> str:
    return f"({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"


def _with_error(value: tuple[float, float] | list[float], digits: int, sign: bool = False) -> str:
    mean, error = value
    return f"{mean:{'+' if sign else ''}.{digits}f} ± {error:.{digits}f}"
