"""Slices taken alternately, and what is made of them.

Absolute figures drift by a factor of two within minutes on shared machines; a ratio of slices taken right after
each other does not. So a round takes every server forwards and then backwards (A B C C B A), a server's figure in a
round is its CPU over its deliveries in both slices, and a score is the median over the rounds of the ratio of two
servers' figures. What decides is its 25th percentile.

Whoever has just been idle is dearer at first, by up to 40 % for a tenth of a second, and whoever has two slices in a row is
spared it. So every slice has a lead-in that does not count, and each round begins with another server.
"""

import collections
import dataclasses
import statistics

AA_MIN, AA_MAX = 0.93, 1.07
LEAD_IN_SECONDS = 0.15


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

    def rounds(self):
        """How many there are of every workload."""
        return min((len(figures) for by_server in self.figures.values() for figures in by_server.values()), default=0)

    def median(self, workload, server, attribute):
        return statistics.median(getattr(f, attribute) for f in self.figures[workload][server])

    def ratio(self, workload, peer, ours, attribute="cpu_per_delivery_ns"):
        """Median and 25th percentile over the rounds of CPU per delivery, the peer's over ours."""
        low, median, _ = self.quartiles(workload, peer, ours, attribute)
        return median, low

    def quartiles(self, workload, peer, ours, attribute="cpu_per_delivery_ns"):
        """25th percentile, median and 75th over the rounds, the peer's over ours."""
        mine, theirs = self.figures[workload][ours], self.figures[workload][peer]
        ratios = [getattr(t, attribute) / getattr(m, attribute) for m, t in zip(mine, theirs, strict=True)]
        return ratios * 3 if len(ratios) == 1 else statistics.quantiles(ratios, n=4, method="inclusive")

    def noise(self):
        """The A/A medians by workload."""
        return {w: self.ratio(w, "again", "uring")[0] for w in self.figures}

    def too_noisy(self):
        return any(not AA_MIN <= median <= AA_MAX for median in self.noise().values())


def in_turn(names, number):
    """The order of round `number`: all forwards, then backwards."""
    names = list(names)
    first = number % len(names)
    forwards = names[first:] + names[:first]
    return forwards + forwards[::-1]


def slice_of(generator, command, seconds):
    """One slice behind its lead-in."""
    generator.run(command.format(seconds=LEAD_IN_SECONDS))
    return generator.run(command.format(seconds=seconds))


def take(results, generators, workloads, rounds, seconds, progress):
    """Fills `results`, workload by workload of a round: so it keeps what was whole when programs.Invalid is raised, on the first slice
    that does not count. `generators` by server name."""
    for number in range(1, rounds + 1):
        for workload in workloads:
            figures = {name: Figure() for name in generators}
            for name in in_turn(generators, number - 1):
                figures[name].add(slice_of(generators[name], workload.command, seconds))
            for name, figure in figures.items():
                results.figures[workload.name][name].append(figure)
            progress(number, rounds, workload, figures)
