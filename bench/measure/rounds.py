"""Slices taken alternately, and what is made of them.

Absolute figures drift by a factor of two within minutes on shared machines; a ratio of slices taken right after
each other does not. So a round takes every server forwards and then backwards (A B C C B A), a server's figure in a
round is its CPU over its deliveries in both slices, and a score is the median over the rounds of the ratio of two
servers' figures. What decides is its 25th percentile.
"""

import collections
import dataclasses
import statistics

AA_MIN, AA_MAX = 0.93, 1.07


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    command: str  # {seconds} is put in
    unit: str


DECIDING = (
    Workload("W=1", "broadcast w=1 seconds={seconds}", "delivery"),
    Workload("W=8", "broadcast w=8 seconds={seconds}", "delivery"),
    Workload("echo", "echo conns=100 seconds={seconds}", "round trip"),
)


@dataclasses.dataclass
class Figure:
    """One server's in one round."""
    cpu_ns: int = 0
    deliveries: int = 0
    seconds: float = 0.0
    receives: int = 0

    def add(self, answer):
        self.cpu_ns += answer["cpu_ns"]
        self.deliveries += answer["deliveries"]
        self.seconds += answer["seconds"]
        self.receives += answer["receives"]

    @property
    def cpu_per_delivery_ns(self):
        return self.cpu_ns / self.deliveries

    @property
    def cpu_per_receive_ns(self):
        return self.cpu_ns / max(1, self.receives)

    @property
    def per_second(self):
        return self.deliveries / self.seconds

    @property
    def frames_per_receive(self):
        return self.deliveries / max(1, self.receives)


class Results:
    """figures[workload name][server name]: a Figure a round."""

    def __init__(self, conns):
        self.conns = conns
        self.figures = collections.defaultdict(lambda: collections.defaultdict(list))

    def workloads(self):
        return list(self.figures)

    def median(self, workload, server, attribute):
        return statistics.median(getattr(f, attribute) for f in self.figures[workload][server])

    def ratio(self, workload, peer, ours, attribute="cpu_per_delivery_ns"):
        """Median and 25th percentile over the rounds of CPU per delivery, the peer's over ours."""
        mine, theirs = self.figures[workload][ours], self.figures[workload][peer]
        ratios = [getattr(t, attribute) / getattr(m, attribute) for m, t in zip(mine, theirs, strict=True)]
        if len(ratios) == 1:
            return ratios[0], ratios[0]
        return statistics.median(ratios), statistics.quantiles(ratios, n=4, method="inclusive")[0]

    def noise(self):
        """The A/A medians by workload."""
        return {w: self.ratio(w, "again", "uring")[0] for w in self.figures}

    def too_noisy(self):
        return any(not AA_MIN <= median <= AA_MAX for median in self.noise().values())


def take(generators, workloads, rounds, seconds, conns, progress):
    """`generators` by server name. Raises programs.Invalid on the first slice that does not count."""
    results = Results(conns)
    for number in range(1, rounds + 1):
        for workload in workloads:
            figures = {name: Figure() for name in generators}
            for name in [*generators, *reversed(generators)]:
                figures[name].add(generators[name].run(workload.command.format(seconds=seconds)))
            for name, figure in figures.items():
                results.figures[workload.name][name].append(figure)
            progress(number, rounds, workload, figures)
    return results
