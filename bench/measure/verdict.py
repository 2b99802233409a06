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


ROUNDS_MIN = 8  # fewer show something, and judge nothing


@dataclasses.dataclass
class Verdict:
    """What is to be said of a run. judge() once, when all is measured that will be."""

    peers: list  # the specs that we are compared with
    marks: dict = dataclasses.field(default_factory=dict)  # by connections, peer, sender, workload: what stands behind the ratio
    judged: int = 0
    missed: list = dataclasses.field(default_factory=list)
    unjudged: list = dataclasses.field(default_factory=list)  # what, and why; what was not asked for is in it from the start
    invalid: str = ""  # what ended the run early

    def judge(self, results, latency, memory):
        """`results`: rounds.Results by number of connections; `latency`: p99_ms, `memory`: user bytes and connect_us, by server; {}
        where there is none. Where palaver differs too much from itself at the number of connections that decides, nothing is judged."""
        for one in results:
            if (why := self._why_not(one)) and one.conns == CONNS:
                self.unjudged.append(f"all of it ({why} at {CONNS:,} connections)")
                return
        if not any(one.conns == CONNS for one in results):
            self.unjudged.append(f"all of it (nothing was taken at {CONNS:,} connections)")
            return
        for one in results:
            if why := self._why_not(one):
                self.unjudged.append(f"{one.conns:,} connections ({why})")
            else:
                self._judge_ratios(one)
        if latency:
            self._judge_latency(latency)
        if memory:
            self._judge_memory(memory)

    @staticmethod
    def _why_not(results):
        if results.rounds() < ROUNDS_MIN:
            return f"{results.rounds()} rounds of {ROUNDS_MIN}"
        return "too noisy" if results.too_noisy() else ""

    def _judge(self, reached, what):
        self.judged += 1
        if not reached:
            self.missed.append(what)

    def _judge_ratios(self, results):
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

    def _judge_latency(self, latency):
        again = latency["again"]["p99_ms"] / latency["uring"]["p99_ms"]
        if not rounds.AA_MIN <= again <= rounds.AA_MAX:
            self.unjudged.append(f"latency (too noisy: palaver's p99 over its own {again:.2f})")
            return
        for peer in self.peers:
            for sender in SENDERS:
                ours, theirs = latency[sender]["p99_ms"], latency[peer.name]["p99_ms"]
                self._judge(ours <= theirs, f"p99 with {sender}: {ours:.1f} ms, {peer.title} {theirs:.1f} ms")

    def _judge_memory(self, memory):
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
        return status(self.invalid, self.missed, self.unjudged or not self.judged)

    def __str__(self):
        return said(self.invalid, self.missed, self.unjudged, self.judged)


def status(invalid, missed, unjudged):
    """The exit status: 3 a slice was not valid, 1 something was missed, 2 something could not be judged, 0 all was reached."""
    return 3 if invalid else 1 if missed else 2 if unjudged else 0


def said(invalid, missed, unjudged, judged):
    """The same in words. `judged`: how many targets."""
    words = []
    if invalid:
        words.append(f"Not valid, and so not all is here: {invalid}.")
    if unjudged:
        words.append(f"Not judged: {'; '.join(unjudged)}.")
    if missed:
        words.append(f"Missed, {len(missed)} of {judged}: {'; '.join(missed)}.")
    else:
        words.append(f"Reached: all {judged} targets that were judged." if judged else "No target was judged.")
    return " ".join(words)
