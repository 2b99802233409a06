#!/usr/bin/python3
"""Tests of bench/measure/: the order of a round, the ratios, and what is said of them, from figures made up here."""
import pathlib
import sys

import tap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent.parent / "bench"))
from measure import programs, rounds, verdict  # noqa: E402

PEERS = [programs.PEERS[name] for name in ("socketio", "uws_raw")]


def results(cpu_ns, conns=verdict.CONNS, rounds_of=8, workloads=("W=1", "W=8", "echo")):
    """`cpu_ns`: by server, per delivery; the same in all rounds and workloads. A list: one a round."""
    made = rounds.Results(conns)
    for workload in workloads:
        for name, ns in cpu_ns.items():
            for number in range(rounds_of):
                one = ns[number % len(ns)] if isinstance(ns, list) else ns
                made.figures[workload][name].append(rounds.Figure(one * 100, 100, 1.0, 50))
    return made


GOOD = {"uring": 1000, "plain": 1000, "again": 1000, "socketio": 99000, "uws_raw": 99000}
P99 = {name: {"p99_ms": ms} for name, ms in (("uring", 10.0), ("plain", 10.0), ("again", 10.0), ("socketio", 90.0), ("uws_raw", 11.0))}
MEMORY = {"uring": {"user": 900, "connect_us": 30}, "plain": {"user": 900, "connect_us": 30}, "socketio": {"user": 17000, "connect_us": 400}}


def judge(*several, latency=None, memory=None, invalid=""):
    said = verdict.Verdict(PEERS, invalid=invalid)
    said.judge(several, latency or {}, memory or {})
    return said


def judged(**cpu_ns):
    return judge(results(GOOD | cpu_ns))


def order():
    """Everybody once forwards and once backwards, and each begins as often as the others."""
    names = ["a", "b", "c"]
    assert rounds.in_turn(names, 0) == ["a", "b", "c", "c", "b", "a"]
    assert rounds.in_turn(names, 4) == ["b", "c", "a", "a", "c", "b"]
    assert sorted(rounds.in_turn(names, n)[0] for n in range(6)) == ["a", "a", "b", "b", "c", "c"]


def lead_in():
    """What is taken of a slice is not its lead-in."""
    class Generator:
        asked = []

        def run(self, command):
            self.asked.append(command)
            return {"answer": command}

    assert rounds.slice_of(Generator(), "broadcast seconds={seconds}", 2.0) == {"answer": "broadcast seconds=2.0"}
    assert Generator.asked == [f"broadcast seconds={rounds.LEAD_IN_SECONDS}", "broadcast seconds=2.0"]


def ratios():
    made = results({"uring": 1000, "socketio": [1000, 2000, 3000, 4000]}, rounds_of=4)
    assert made.ratio("W=1", "socketio", "uring") == (2.5, 1.75)
    assert made.quartiles("W=1", "socketio", "uring") == [1.75, 2.5, 3.25]


def what_was_whole_stays():
    """The slice that is not valid is the tenth: of the second round."""
    class Generator:
        left = 9

        def run(self, command):
            Generator.left -= 1
            if Generator.left < 0:
                raise programs.Invalid("it was closed")
            return {"cpu_ns": 1, "deliveries": 1, "seconds": 1, "receives": 1}

    made = rounds.Results(1000)
    try:
        rounds.take(made, {"a": Generator(), "b": Generator()}, rounds.DECIDING[:1], 8, 1, lambda *_: None)
        raise RuntimeError("it went on")
    except programs.Invalid:
        assert made.rounds() == 1 and made.figures["W=1"]["b"][0].deliveries == 2
    assert rounds.Results(1000).rounds() == 0


def all_reached():
    said = judged()
    assert str(said) == "Reached: all 12 targets that were judged." and said.status() == 0, str(said)  # two peers, two senders, three workloads


def the_low_quartile_decides():
    """Half of the rounds are good, which makes the median 3.0 of 3."""
    said = judged(socketio=[2000, 2000, 4000, 4000])
    assert "W=1 with uring at 1000: 2.00 of 3 against socket.io on Node" in said.missed, said.missed
    assert said.status() == 1


def each_sender_has_its_targets():
    """12 times cheaper: less than io_uring's 20 and plain's 13 at W=8, enough elsewhere."""
    missed = [words.split(" against")[0] for words in judged(socketio=12000).missed]
    assert missed == ["W=8 with uring at 1000: 12.00 of 20", "W=8 with plain at 1000: 12.00 of 13"], missed
    assert [words.split(":")[0] for words in judged(uws_raw=999).missed].count("echo with plain at 1000") == 1


def noise_where_it_decides():
    """Palaver differs from itself by 8 %: nothing at all is judged, be it as good as it may."""
    said = judge(results(GOOD | {"again": 1080}), results(GOOD, conns=100), latency=P99, memory=MEMORY)
    assert said.judged == 0 and said.status() == 2, str(said)
    assert str(said) == "Not judged: all of it (too noisy at 1,000 connections). No target was judged.", str(said)
    assert judged(again=920).status() == 2 and judged(again=931).status() == 0


def noise_elsewhere():
    said = judge(results(GOOD), results(GOOD | {"again": 1080}, conns=5000), results(GOOD | {"again": 1069, "uws_raw": 990}, conns=100))
    assert said.judged == 24 and len(said.missed) == 6 and said.unjudged == ["5,000 connections (too noisy)"], str(said)
    assert said.status() == 1  # what is missed is missed, whatever could not be judged


def too_few_rounds():
    said = judge(results(GOOD, rounds_of=7), memory=MEMORY)
    assert said.status() == 2 and str(said) == "Not judged: all of it (7 rounds of 8 at 1,000 connections). No target was judged.", str(said)


def nothing():
    nothing_there = "Not judged: all of it (nothing was taken at 1,000 connections). No target was judged."
    for said in judge(), judge(memory=MEMORY), judge(latency=P99), judge(results(GOOD, conns=100), memory=MEMORY):
        assert said.status() == 2 and str(said) == nothing_there, str(said)


def latency():
    def p99(**ms):
        return judge(results(GOOD), latency=P99 | {name: {"p99_ms": value} for name, value in ms.items()})

    assert p99().status() == 0 and p99().judged == 12 + 4
    assert p99(plain=11.1, again=10.6).missed == ["p99 with plain: 11.1 ms, uWebSockets.js, raw frames 11.0 ms"]
    for again in (9.2, 10.8):  # good or bad: what differs so from itself is not judged
        said = p99(plain=12.0, again=again)
        assert said.status() == 2 and said.judged == 12 and len(said.unjudged) == 1 and "p99 over its own" in said.unjudged[0]


def memory():
    def taken(**mine):
        return judge(results(GOOD), memory=MEMORY | {"uring": MEMORY["uring"] | mine})

    assert taken().status() == 0 and taken().judged == 12 + 8
    assert len(taken(user=1001).missed) == 2  # too much, and 16.98 of 17
    assert taken(connect_us=35).missed == ["connecting with uring: 11.4 of 12 times cheaper than socket.io on Node"]
    assert len(taken(connect_us=41).missed) == 2
    assert judge(results(GOOD), memory={"uring": MEMORY["uring"]}).judged == 12 + 2  # no other sender, and nobody to compare with


def invalid():
    said = judge(results(GOOD), invalid="it was closed")
    assert said.status() == 3
    assert str(said) == "Not valid, and so not all is here: it was closed. Reached: all 12 targets that were judged.", str(said)


tap.run([order, lead_in, ratios, what_was_whole_stays, all_reached, the_low_quartile_decides, each_sender_has_its_targets,
         noise_where_it_decides, noise_elsewhere, too_few_rounds, nothing, latency, memory, invalid])
