"""What is to be reached, and what a run says of it: reached, missed, or too noisy to say."""

import dataclasses

from measure import rounds

CONNS = 1000  # the number of connections that decides

# By peer: the 25th percentile of the ratio in each workload, with either sender.
ECHO = {"socketio": 2.5, "socketio_uws": 1.8, "uws_raw": 1.0}
TARGETS = {
    ("socketio", "uring"): {"W=1": 3.0, "W=8": 20.0, "echo": ECHO["socketio"]},
    ("socketio", "plain"): {"W=1": 2.0, "W=8": 13.0, "echo": ECHO["socketio"]},
    ("socketio_uws", "uring"): {"W=1": 2.0, "W=8": 2.0, "echo": ECHO["socketio_uws"]},
    ("socketio_uws", "plain"): {"W=1": 1.25, "W=8": 1.4, "echo": ECHO["socketio_uws"]},
    ("uws_raw", "uring"): {"W=1": 1.5, "W=8": 1.5, "echo": ECHO["uws_raw"]},
    ("uws_raw", "plain"): {"W=1": 1.0, "W=8": 1.0, "echo": ECHO["uws_raw"]},
}
OTHER_CONNS_FLOOR = 1.0  # at 100 and 5,000 connections, either sender, any peer
MEMORY_BYTES_MAX = 1000
MEMORY_RATIO_MIN = 17  # socket.io's over ours
CONNECT_US_MAX = 40
CONNECT_RATIO_MIN = 12
SENDERS = ("uring", "plain")


@dataclasses.dataclass
class Verdict:
    """`peers`: the specs that we are compared with. judge_... may be called in any order, each once."""

    peers: list
    marks: dict = dataclasses.field(default_factory=dict)  # by connections, peer, sender, workload: what stands behind the ratio
    judged: int = 0
    missed: list = dataclasses.field(default_factory=list)
    noisy: list = dataclasses.field(default_factory=list)
    invalid: str = ""  # what ended the run early

    def _judge(self, reached, what):
        self.judged += 1
        if not reached:
            self.missed.append(what)

    def judge_ratios(self, results):
        """Nothing is judged at a number of connections at which palaver differs too much from itself."""
        if results.too_noisy():
            self.noisy.append(f"{results.conns:,} connections")
            return
        for peer in self.peers:
            for sender in SENDERS:
                for workload in results.workloads():
                    self._judge_ratio(results, peer, sender, workload)

    def _judge_ratio(self, results, peer, sender, workload):
        target = OTHER_CONNS_FLOOR
        if results.conns == CONNS:
            target = TARGETS.get((peer.name, sender), {}).get(workload)
        if target is None:
            return
        _, low = results.ratio(workload, peer.name, sender)
        self.marks[results.conns, peer.name, sender, workload] = f"{'≥' if low >= target else '✗ below'} {target:g}"
        self._judge(low >= target, f"{workload} with {sender} at {results.conns}: {low:.2f} of {target:g} against {peer.title}")

    def judge_latency(self, latency):
        """`latency`: p99_ms by server. Who is nearer than palaver is to itself cannot be told from us."""
        again = latency["again"]["p99_ms"] / latency["uring"]["p99_ms"]
        margin = max(again, 1 / again)
        for peer in self.peers:
            for sender in SENDERS:
                ours, theirs = latency[sender]["p99_ms"], latency[peer.name]["p99_ms"]
                if theirs < ours <= theirs * margin:
                    self.noisy.append(f"p99 with {sender} against {peer.title}")
                else:
                    self._judge(ours <= theirs, f"p99 with {sender}: {ours:.1f} ms, {peer.title} {theirs:.1f} ms")

    def judge_memory(self, memory):
        """`memory`: user bytes and connect_us by server."""
        theirs = memory.get("socketio")
        for sender in SENDERS:
            if not (mine := memory.get(sender)):
                continue
            self._judge(mine["user"] <= MEMORY_BYTES_MAX,
                        f"memory with {sender}: {mine['user']:,.0f} bytes per connection of {MEMORY_BYTES_MAX:,}")
            self._judge(mine["connect_us"] <= CONNECT_US_MAX,
                        f"connecting with {sender}: {mine['connect_us']:.1f} µs of {CONNECT_US_MAX}")
            if theirs:
                for key, what, least in (("user", "memory", MEMORY_RATIO_MIN), ("connect_us", "connecting", CONNECT_RATIO_MIN)):
                    ratio = theirs[key] / mine[key]
                    self._judge(ratio >= least, f"{what} with {sender}: {ratio:.1f} of {least} times cheaper than socket.io on Node")

    def status(self):
        """The exit status: 3 a slice was not valid, 2 too noisy to judge something, 1 something was missed, 0 all reached."""
        return 3 if self.invalid else 2 if self.noisy else 1 if self.missed else 0

    def __str__(self):
        said = []
        if self.invalid:
            said.append(f"Not valid, and so not all is here: {self.invalid}.")
        if self.noisy:
            said.append(f"Too noisy to judge: {'; '.join(self.noisy)}. Palaver itself differs by more there "
                        f"(in CPU: than {rounds.AA_MAX - 1:.0%}).")
        if self.missed:
            said.append(f"Missed: {'; '.join(self.missed)}.")
        elif self.judged:
            said.append("All else was reached." if said else "All targets reached.")
        return " ".join(said)
