"""The report: Markdown and a plot, from the results of a run."""

from measure import rounds

COLOURS = {"uring": "#2f6f4f", "plain": "#7fae94"}
PEER_COLOUR = "#8a8f98"


def _row(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def table(head, rows):
    return _row(head) + "|" + "---|" * len(head) + "\n" + "".join(_row(r) for r in rows)


def ratios_table(results, specs, judgements):
    """One row a peer and sender: median (25th percentile) and what was to be reached. Then ours over our io_uring's."""
    head = ["against", "with"] + results.workloads()
    rows = []
    for peer in (s for s in specs if not s.ours and not s.floor):
        for sender in ("uring", "plain"):
            cells = []
            for workload in results.workloads():
                median, low = results.ratio(workload, peer.name, sender)
                judged = judgements.get((results.conns, peer.name, sender, workload))
                cells.append(f"**{median:.2f}×** ({low:.2f})" + (f" {judged}" if judged else ""))
            rows.append([peer.title, sender, *cells])
    rows.append(["palaver itself (A/A)", "uring", *(f"{v:.3f}" for v in results.noise().values())])
    rows.append(["its other sender", "plain", *(between(results.quartiles(w, "plain", "uring")) for w in results.workloads())])
    return table(head, rows)


def between(quartiles):
    low, median, high = quartiles
    return f"{median:.2f}× ({low:.2f} to {high:.2f})"


def floor_table(results):
    """What we cost over the kernel's part: per send, since a program that batches worse sends more often."""
    rows = []
    for sender in ("uring", "plain"):
        cells = []
        for workload in results.workloads():
            over = results.quartiles(workload, sender, f"floor_{sender}", "cpu_per_receive_ns")
            floor = results.median(workload, f"floor_{sender}", "cpu_per_receive_ns")
            cells.append(f"{between(over)} of {floor:,.0f} ns")
        rows.append([sender, *cells])
    return table(["our CPU per send, over the kernel's part", *results.workloads()], rows)


def figures_table(results, specs):
    head = ["server"]
    for workload in results.workloads():
        head += [f"{workload}: CPU ns", "per second", "frames per receive"]
    rows = []
    for spec in specs:
        row = [spec.title]
        for workload in results.workloads():
            row += [f"{results.median(workload, spec.name, 'cpu_per_delivery_ns'):,.0f}",
                    f"{results.median(workload, spec.name, 'per_second'):,.0f}",
                    f"{results.median(workload, spec.name, 'frames_per_receive'):.2f}"]
        rows.append(row)
    return table(head, rows)


def memory_table(memory, specs):
    rows = []
    for spec in specs:
        if m := memory.get(spec.name):
            rows.append([spec.title, f"{m['user']:,.0f}", f"{m['kernel']:,.0f}", f"{m['connect_us']:.1f}",
                         f"{m['idle'] / 2**20:.1f}"])
    return table(["server", "user bytes per idle connection", "kernel slab bytes (both ends)",
                   "CPU µs per connect", "MiB with none"], rows)


def latency_table(latency, specs):
    rows = [[spec.title, f"{latency[spec.name]['p50_ms']:.1f}", f"{latency[spec.name]['p99_ms']:.1f}"]
            for spec in specs if spec.name in latency]
    return table(["server", "p50 ms", "p99 ms"], rows)


def markdown(run):
    """`run` is run.Run when all is done."""
    text = f"# Benchmark of {run.date}, commit {run.commit}\n\n"
    text += f"**{run.verdict}**\n\n"
    text += ("What is measured is CPU time of the server per delivery (user and system of all its threads, and its "
             "core's ksoftirqd) on loopback, 100-byte text; `docs/benchmark.md` says how. Ratios are a peer's over "
             "ours, so above 1 palaver is cheaper: the median over the rounds, in brackets the 25th percentile, "
             "which is what decides. The last row of each table is our plain sender's CPU over our io_uring's, with quartiles.\n\n")
    if run.svg_name:
        text += f"![CPU per delivery]({run.svg_name})\n\n"
    for results in run.results:
        text += f"## {results.conns:,} connections\n\n" + ratios_table(results, run.specs, run.verdict.marks) + "\n"
        specs = [s for s in run.specs if s.name in next(iter(results.figures.values()))]
        text += figures_table(results, specs) + "\n"
        if any(s.floor for s in specs):
            text += floor_table(results) + "\n"
    if run.latency:
        text += f"## Latency at {run.latency_rate:,.0f} deliveries a second\n\n"
        text += "Half of what the slowest peer can do, Poisson arrivals, counted from the scheduled time.\n\n"
        text += latency_table(run.latency, run.specs) + "\n"
    if run.memory:
        text += f"## Memory and connecting ({run.memory_conns:,} connections)\n\n"
        text += memory_table(run.memory, run.specs) + "\n"
    text += "## The run\n\n" + table(["what", ""], run.facts)
    return text


def svg(results, specs):
    """Bars of CPU per delivery, a panel for each workload, shortest is best."""
    shown = [s for s in specs if s.name != "again" and s.name in next(iter(results.figures.values()))]
    panel_height, bar, width, label = len(shown) * 24 + 40, 16, 760, 230
    out = []
    for p, workload in enumerate(results.workloads()):
        top = p * panel_height + 20
        values = {s.name: results.median(workload, s.name, "cpu_per_delivery_ns") for s in shown}
        unit = next(w.unit for w in rounds.DECIDING if w.name == workload)
        out.append(f'<text x="10" y="{top + 8}" font-weight="bold">{workload}: CPU ns per {unit}</text>')
        for i, spec in enumerate(shown):
            y = top + 20 + i * 24
            length = max(1, (width - label - 90) * values[spec.name] / max(values.values()))
            colour = COLOURS.get(spec.name, PEER_COLOUR)
            out.append(f'<text x="10" y="{y + 12}">{spec.title}</text>')
            out.append(f'<rect x="{label}" y="{y}" width="{length:.1f}" height="{bar}" fill="{colour}"/>')
            out.append(f'<text x="{label + length + 6:.1f}" y="{y + 12}">{values[spec.name]:,.0f}</text>')
    height = panel_height * len(results.workloads()) + 20
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="12">\n<rect width="{width}" height="{height}" fill="#fff"/>\n'
            + "\n".join(out) + "\n</svg>\n")
