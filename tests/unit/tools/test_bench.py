#!/usr/bin/python3
"""Tests of bench/measure/: the order of a round, the ratios, and what is said of them, from figures made up here."""
import pathlib
import sys

import tap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent.parent / "bench"))
from measure import programs, rounds, verdict  # noqa: E402

PEERS = [programs.PEERS[name] for name in ("socketio", "uws_raw")]
OURS = ("uring", "plain", "again")


def results(cpu_ns, conns=verdict.CONNS, rounds_of=4, workloads=("W=1", "W=8", "echo")):
    """`cpu_ns`: by server, per delivery; the same in all rounds and workloads. A list: one a round."""
    made = rounds.Results(conns)
    for workload in workloads:
        for name, ns in cpu_ns.items():
            for number in range(rounds_of):
                one = ns[number] if isinstance(ns, list) else ns
                made.figures[workload][name].append(rounds.Figure(one * 100, 100, 1.0, 50))
    return made


def judged(**cpu_ns):
    said = verdict.Verdict(PEERS)
    said.judge_ratios(results({"uring": 1000, "plain": 1000, "again": 1000, "socketio": 99000, "uws_raw": 99000} | cpu_ns))
    return said


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
    made = results({"uring": 1000, "socketio": [1000, 2000, 3000, 4000]})
    assert made.ratio("W=1", "socketio", "uring") == (2.5, 1.75)
    assert made.quartiles("W=1", "socketio", "uring") == [1.75, 2.5, 3.25]


def all_reached():
    said = judged()
    assert str(said) == "All targets reached." and said.status() == 0, str(said)
    assert said.judged == 12  # two peers, two senders, three workloads


def the_low_quartile_decides():
    """Half of the rounds are good, which makes the median 3.0 of 3."""
    said = judged(socketio=[2000, 2000, 4000, 4000])
    assert "W=1 with uring at 1000: 2.00 of 3 against socket.io on Node" in said.missed, said.missed
    assert said.status() == 1


def each_sender_has_its_targets():
    """12 times cheaper: less than io_uring's 20 and plain's 13 at W=8, enough elsewhere."""
    assert [m.split(" against")[0] for m in judged(socketio=12000).missed] == ["W=8 with uring at 1000: 12.00 of 20", "W=8 with plain at 1000: 12.00 of 13"]
    assert [m.split(":")[0] for m in judged(uws_raw=999).missed].count("echo with plain at 1000") == 1


def noise():
    """Palaver differs from itself by 8 %: nothing is judged of this number of connections, but of another."""
    said = judged(again=1080)
    assert said.judged == 0 and said.status() == 2 and str(said).startswith("Too noisy to judge: 1,000 connections."), str(said)
    said.judge_ratios(results({"uring": 1000, "plain": 1000, "again": 1069, "socketio": 2000, "uws_raw": 990}, conns=100))
    assert said.judged == 12 and said.status() == 2 and len(said.missed) == 6, said.missed
    assert judged(again=920).status() == 2 and judged(again=931).status() == 0


def latency():
    def p99(**ms):
        said = verdict.Verdict(PEERS)
        said.judge_latency({name: {"p99_ms": value} for name, value in {
            "uring": 10.0, "plain": 10.0, "again": 10.0, "socketio": 90.0, "uws_raw": 11.0, **ms}.items()})
        return said

    assert p99().status() == 0 and p99().judged == 4
    assert p99(plain=12.0).missed == ["p99 with plain: 12.0 ms, uWebSockets.js, raw frames 11.0 ms"]
    assert p99(plain=12.0, again=9.0).noisy == ["p99 with plain against uWebSockets.js, raw frames"]  # 10/9 is more than 12/11


def memory():
    def taken(**mine):
        said = verdict.Verdict(PEERS)
        said.judge_memory({"uring": {"user": 900, "connect_us": 30, **mine}, "plain": {"user": 900, "connect_us": 30},
                           "socketio": {"user": 17000, "connect_us": 400}})
        return said

    assert taken().status() == 0 and taken().judged == 8
    assert len(taken(user=1001).missed) == 2  # too much, and 16.98 of 17
    assert taken(connect_us=35).missed == ["connecting with uring: 11.4 of 12 times cheaper than socket.io on Node"]
    assert len(taken(connect_us=41).missed) == 2


def invalid():
    said = judged()
    said.invalid = "it was closed"
    assert said.status() == 3 and str(said).startswith("Not valid, and so not all is here: it was closed."), str(said)


tap.run([order, lead_in, ratios, all_reached, the_low_quartile_decides, each_sender_has_its_targets, noise, latency, memory, invalid])
