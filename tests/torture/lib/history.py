"""Checks what clients of a chat have seen against the log that is left in the end: the delivery contract, as a function.

    sends   what each sender has sent, in order, with what it was answered
    log     the room's entries as they are in the end
    views   what each listener was told, in order: hello, live entries, pages, gap; whether it has left

check() names everything that must not be. It knows no server; tests/unit/tools/test_history.py shows that it notices.
"""

import collections
import typing

EXAMPLES_MAX = 5  # of each fault, in words
LOST = "lost"  # acknowledged, and not in the log
TWICE = "twice"  # one message, two entries
ORDER = "out of order"  # a sender's messages in another order than it sent them
GAP = "gaps"  # a number is missing, in the log or in what a listener has
WRONG = "wrong"  # an entry is not what was sent, or that nobody sent
ACK = "wrong acknowledgements"  # of another entry than the log's, or two that differ
PUSHED = "pushed but not kept"  # pushed, and not so in the log
AGAIN = "pushed again"  # a number that this connection had passed
VIEW = "wrong pages"  # a page had what the log has not
RESET = "resets"  # a listener was told to forget
KINDS = (LOST, TWICE, ORDER, GAP, WRONG, ACK, PUSHED, AGAIN, VIEW, RESET)


class Entry(typing.NamedTuple):
    seq: int
    nonce: int
    at: int
    author: int
    name: str
    text: str
    cid: str


class Send:
    """A message of a sender. `acks` are (seq, nonce), nonce None where the answer has none."""

    __slots__ = ("cid", "author", "text", "acks", "attempts")

    def __init__(self, cid, author, text):
        self.cid, self.author, self.text = cid, author, text
        self.acks = []
        self.attempts = 0


class Hello(typing.NamedTuple):
    """A connection begins: every entry after `head` is pushed on it."""
    head: int


class Live(typing.NamedTuple):
    entry: Entry


class Page(typing.NamedTuple):
    """An answer of room.history or room.sync."""
    entries: list
    as_of: int
    reset: bool


class Gap(typing.NamedTuple):
    """The server says that it has left entries out."""


class Left(typing.NamedTuple):
    """The listener is gone for good: what comes afterwards it need not have."""


class Findings:
    def __init__(self):
        self.counts = collections.Counter({kind: 0 for kind in KINDS})
        self.examples = collections.defaultdict(list)

    def add(self, kind, text):
        self.counts[kind] += 1
        if len(self.examples[kind]) < EXAMPLES_MAX:
            self.examples[kind].append(text)

    def lines(self):
        for kind in KINDS:
            for text in self.examples[kind]:
                yield f"{kind}: {text}"

    def figures(self):
        return ", ".join(f"{self.counts[kind]} {kind}" for kind in KINDS)

    def __bool__(self):
        return any(self.counts.values())


def shown(entry):
    return "nothing" if entry is None else f"{entry.seq} ({entry.nonce}) {entry.cid} {entry.text[:40]!r}"


def check(log, sends, views, unordered=()):
    """`sends` are lists by sender, `views` lists of events by listener; senders in `unordered` had several under way."""
    findings = Findings()
    check_log(findings, log, sends)
    for sender, sent in sends.items():
        check_sender(findings, log, sender, sent, sender not in unordered)
    by_seq = {entry.seq: entry for entry in log}
    for name, view in views.items():
        ViewCheck(findings, name, by_seq).run(view, log[-1].seq if log else 0)
    return findings


def check_log(findings, log, sends):
    known = {send.cid: send for sent in sends.values() for send in sent}
    cids, texts = {}, {}
    for at, entry in enumerate(log, 1):
        if at > 1 and entry.seq != log[at - 2].seq + 1 or at == 1 and entry.seq != 1:
            findings.add(GAP, f"the log has {entry.seq} as its entry number {at}")
        send = known.get(entry.cid)
        if send is None:
            findings.add(WRONG, f"nobody sent {shown(entry)}")
        elif (send.text, send.author) != (entry.text, entry.author):
            findings.add(WRONG, f"{send.author} sent {send.cid} {send.text[:40]!r}, the log has {shown(entry)} by {entry.author}")
        if entry.cid in cids:
            findings.add(TWICE, f"{shown(cids[entry.cid])} and {shown(entry)}")
        elif entry.text in texts:
            findings.add(TWICE, f"{shown(texts[entry.text])} and {shown(entry)}")
        cids[entry.cid], texts[entry.text] = entry, entry


def check_sender(findings, log, sender, sent, ordered):
    seqs = {entry.cid: entry for entry in reversed(log) if entry.author == (sent[0].author if sent else None)}
    last = None
    for send in sent:
        entry = seqs.get(send.cid)
        if send.acks and entry is None:
            findings.add(LOST, f"{sender}'s {send.cid}, acknowledged as {send.acks[0][0]}")
        for seq, nonce in send.acks if entry is not None else send.acks[1:]:
            wanted = (entry.seq, entry.nonce) if entry is not None else send.acks[0]
            if seq != wanted[0] or nonce is not None and wanted[1] is not None and nonce != wanted[1]:
                findings.add(ACK, f"{sender}'s {send.cid} acknowledged as {seq} ({nonce}), not {wanted[0]} ({wanted[1]})")
        if ordered and entry is not None:
            if last is not None and entry.seq <= last.seq:
                findings.add(ORDER, f"{sender} sent {shown(last)} before {shown(entry)}")
            last = entry


class ViewCheck:
    """One listener: what it was told, kept as a page in a browser keeps it."""

    def __init__(self, findings, name, by_seq):
        self.findings, self.name, self.by_seq = findings, name, by_seq
        self.has = set()
        self.paged = False  # it knows of something to sync from
        self.pushed = set()  # on this connection: of this log, whatever was known before
        self.last_live = None  # on this connection; None: it may jump forward, after a gap
        self.passed = 0  # the number up to which this connection will not push again

    def run(self, view, head):
        for event in view:
            getattr(self, "on_" + type(event).__name__.lower())(event)
        if view and isinstance(view[-1], Left):
            return
        missing = [seq for seq in range(min(self.has, default=1), head + 1) if seq not in self.has]
        if missing:
            self.findings.add(GAP, f"{self.name} misses {len(missing)} entries, the first {missing[0]}")

    def on_hello(self, event):
        if not self.paged:
            self.has.clear()  # pushed on the connection before, which ended before its page came: nothing stands on it
        self.last_live = self.passed = event.head
        self.pushed.clear()

    def on_gap(self, _):
        self.last_live = None

    def on_left(self, _):
        pass

    def on_live(self, event):
        entry = event.entry
        if entry.seq <= self.passed:
            self.findings.add(AGAIN, f"{self.name} was pushed {shown(entry)} after {self.passed}")
        elif self.last_live is not None and entry.seq != self.last_live + 1:
            self.findings.add(GAP, f"{self.name} was pushed {entry.seq} next after {self.last_live}")
        self.last_live = entry.seq
        self.passed = max(self.passed, entry.seq)
        self.pushed.add(entry.seq)
        self._take(PUSHED, entry)

    def on_page(self, event):
        if event.reset:
            self.findings.add(RESET, f"{self.name}, to {event.as_of}")
            self.has = {seq for seq in self.pushed if seq > event.as_of}
        self.paged = True
        self.passed = max(self.passed, event.as_of)
        for before, entry in zip([None, *event.entries], event.entries):
            if before is not None and entry.seq != before.seq + 1:
                self.findings.add(GAP, f"a page of {self.name} has {entry.seq} next after {before.seq}")
            self._take(VIEW, entry)

    def _take(self, kind, entry):
        kept = self.by_seq.get(entry.seq)
        if kept is not entry and kept != entry:
            self.findings.add(kind, f"{self.name} has {shown(entry)}, the log {shown(kept)}")
        self.has.add(entry.seq)


def compare(log, other, what):
    """What the same log looks like when it is read in another way."""
    assert len(log) == len(other), f"{what}: {len(other)} entries instead of {len(log)}"
    for entry, same in zip(log, other):
        assert entry == same, f"{what}: {shown(same)} instead of {shown(entry)}"
