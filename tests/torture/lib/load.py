"""People in a chat whose server comes and goes: senders that repeat until they are answered, listeners that keep a log.

    World   the server, all clients, what they have seen; lives of the server, and the checks at the end
    Sender  one message under way, repeated with its cid after each reconnect; some choose another way each time
    Flooder many messages at once while world.flooding
    Listener hello, room.sync from where it was, then what is pushed: as a page in a browser does
"""

import asyncio
import collections
import contextlib
import random
import statistics
import time

import history
from chat import Caller, Entries, Link, Lost, read_backward, read_forward
from harness import SLOWER, TICKS_PER_S, note
from palaver import LOBBY

TRY_AGAIN_S = (0.01, 0.06)  # between two tries to connect, or after an answer of RETRIED
PACE_S = 0.02  # on average, between a sender's answer and its next message
REPEATED, CHANGED = 0.03, 0.01  # how often what is done is sent again; and with another text
RELOADED = 0.1  # how often a listener that comes back has forgotten all
FLOOD = 60  # messages at once: less than the 64 that may be unanswered
RETRIED = {"busy", "unavailable", "unknown"}
BACK = 0.95
SETTLE_S = 60 * SLOWER  # at most, until all is answered
WORDS = ("hello", "grüße", "привет", "こんにちは", "🦜 says", "<b>&amp;", "\"quoted\" \\ back", "line\nbreak", "\u2028 sep")


async def until(condition, what, seconds=SETTLE_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what() if callable(what) else what}"
        await asyncio.sleep(0.005)


class Client:
    def __init__(self, world, name):
        self.world, self.name = world, name
        self.chance = random.Random(f"{world.seed} {name}")
        self.token = self.id = None
        self.link = None

    def handlers(self):
        return {}

    def greeted(self, answer):
        pass

    async def pause(self):
        await asyncio.sleep(self.chance.uniform(*TRY_AGAIN_S))

    async def wait(self, event):
        """Until it is set, or the link lost."""
        wanted = asyncio.ensure_future(event.wait())
        await asyncio.wait((wanted, self.link.lost), return_when=asyncio.FIRST_COMPLETED)
        wanted.cancel()

    async def arrive(self):
        """Connected and greeted, however long it takes; what hello answered."""
        if self.link is not None:
            self.world.disconnected(self)
        while True:
            with contextlib.suppress(Lost):
                self.link = await Link.open(self.world.server.port, **self.handlers())
                said = {"token": self.token} if self.token else {"name": self.name}
                answer = await self.link.call("hello", said, taken=self.greeted)
                if answer["ok"]:
                    break
                self.world.refused("hello", self, answer)
                self.link.abort()
            await self.pause()
        self.token = self.token or answer["token"]
        assert self.id in (None, answer["user"]["id"]), f"{self.name} is somebody else now: {answer['user']}"
        self.id = answer["user"]["id"]
        self.world.arrived(self)
        return answer


class Sender(Client):
    """`ways`: how it may send: chat, http, root."""

    def __init__(self, world, name, ways=("chat",)):
        super().__init__(world, name)
        self.ways = ways
        self.sent = world.sends[name] = []
        self.current = None
        self.caller = None
        self.own, self.heard_own, self.may_miss = None, False, False

    def handlers(self):
        return {"on_entry": self.on_entry, "on_gap": self.on_gap}

    def on_entry(self, text):
        if self.own and self.own in text:
            self.heard_own = True

    def on_gap(self):
        self.may_miss = True
        self.world.counts["gaps told to senders"] += 1

    def write(self):
        """A new message; its text names it, so that no two are the same."""
        cid = f"{self.name}-{len(self.sent)}-{self.chance.getrandbits(48):x}"
        text = f"{self.chance.choice(WORDS)} {cid}"
        size = self.chance.random()
        if size < 0.05:
            text += " x" * self.chance.randrange(4000 if size > 0.002 else 30000)
        self.sent.append(history.Send(cid, self.id, text))
        return self.sent[-1]

    async def attempt(self, cid, text, way):
        said = {"room": LOBBY, "cid": cid, "text": text}
        if way == "http":
            self.caller = self.caller or Caller(self.world.server.port, self.token)
            return await self.caller.call("message.send", said)
        if way == "root":
            if "" not in self.link.namespaces:
                await self.link.join("", '{"token":"%s"}' % self.token)
            return await self.link.call("message", text, {"cid": cid}, namespace="")
        return await self.link.call("message.send", said)

    async def deliver(self, send):
        """One try. True once it is acknowledged."""
        way = self.chance.choice(self.ways)
        first = send.attempts == 0 and way == "chat"
        send.attempts += 1
        self.own, self.heard_own, self.may_miss = send.cid.encode(), False, False
        answer = await self.attempt(send.cid, send.text, way)
        self.own = None
        if not answer["ok"]:
            self.world.refused("message.send", self, answer)
            await self.pause()
            return False
        send.acks.append((answer["seq"], answer.get("nonce")))
        if first and not self.heard_own and not self.may_miss:
            self.world.fault(f"{self.name} was answered {answer['seq']} before it was pushed")
        return True

    async def again(self):
        """Now and then, what was acknowledged long ago is sent again, or under its cid something else."""
        old = self.chance.choice(self.sent)
        if self.chance.random() < self.world.repeated:
            self.world.counts["repeated"] += 1
            await self.deliver(old)
        if self.chance.random() < self.world.changed:
            answer = await self.attempt(old.cid, old.text + " changed", self.chance.choice(self.ways))
            self.world.counts["changed"] += 1
            if answer["ok"] or answer["error"] not in RETRIED | {"conflict"}:
                self.world.fault(f"{self.name}'s {old.cid} was sent with another text and answered {answer}")

    async def run(self):
        while True:
            if self.link is None or self.link.lost.done():
                await self.arrive()
            if self.current is None:
                await self.wait(self.world.loud)
                if not self.world.loud.is_set():
                    continue
                self.current = self.write()
            try:
                while not await self.deliver(self.current):
                    pass
                self.current = None
                await self.again()
            except Lost:
                await asyncio.sleep(0 if self.link.lost.done() else TRY_AGAIN_S[0])
                continue
            if not self.world.flooding.is_set():
                await asyncio.sleep(self.chance.expovariate(1 / PACE_S))


class Flooder(Sender):
    def __init__(self, world, name):
        super().__init__(world, name)
        world.unordered.add(name)
        self.current = []

    async def run(self):
        while True:
            if self.link is None or self.link.lost.done():
                await self.arrive()
            if not self.current:
                await self.wait(self.world.flooding)
                if not self.world.flooding.is_set():
                    continue
                self.current = [self.write() for _ in range(FLOOD)]
            calls = []
            for send in self.current:
                send.attempts += 1
                calls.append(self.link.begin("message.send", {"room": LOBBY, "cid": send.cid, "text": send.text}))
            done = set()
            with contextlib.suppress(Lost):
                for send, call in zip(self.current, calls):
                    answer = await self.link.answer(call)
                    if answer["ok"]:
                        send.acks.append((answer["seq"], answer["nonce"]))
                        done.add(send)
                    else:
                        self.world.refused("message.send", self, answer)
            if self.current and not done:
                await self.pause()
            self.current = [send for send in self.current if send not in done]


class Listener(Client):
    def __init__(self, world, name):
        super().__init__(world, name)
        self.turns = 0
        self.more, self.waiting = True, []  # fetching; what was pushed meanwhile
        self.wanted = asyncio.Event()  # something to fetch
        self.forget()

    def forget(self):
        self.turns += 1
        self.view = self.world.views[f"{self.name} {self.turns}"] = []
        self.nonces, self.known = {}, None  # known: the last without a gap before it; None: nothing yet
        self.epoch = ""

    def handlers(self):
        return {"on_entry": self.on_entry, "on_gap": self.on_gap}

    def on_entry(self, text):
        entry = self.world.entries.live(text)
        self.view.append(history.Live(entry))
        if self.more:
            self.waiting.append(entry)  # by the log that this one is of, what is known may be void
        else:
            self.keep(entry)

    def on_gap(self):
        self.view.append(history.Gap())
        self.world.counts["gaps told to listeners"] += 1
        self.wanted.set()

    def keep(self, entry):
        self.nonces[entry.seq] = entry.nonce
        if self.known is not None:
            while self.known + 1 in self.nonces:
                self.known += 1
            if entry.seq > self.known:
                self.wanted.set()

    def greeted(self, answer):
        if answer["ok"]:
            self.more, self.waiting = True, []
            self.epoch = self.epoch or answer["epoch"]
            self.view.append(history.Hello(answer["rooms"][0]["head"]))

    def take(self, answer):
        """The answer of room.history or room.sync; whether there is more."""
        if not answer["ok"]:
            self.world.refused("a page", self, answer)
            return
        [page] = answer.get("rooms", [answer])
        entries = [self.world.entries.of(entry) for entry in page["entries"]]
        reset = page.get("reset", False)
        self.view.append(history.Page(entries, page["as_of"], reset))
        if reset:
            self.world.counts["resets"] += 1
            self.nonces.clear()
        if reset or self.known is None:
            self.known = entries[0].seq - 1 if entries else page["as_of"]
        self.epoch = answer.get("epoch", self.epoch)
        for entry in entries:
            self.keep(entry)
        self.more = page["more"] and "rooms" in answer and not reset
        if not self.more:
            waiting, self.waiting = self.waiting, []
            for entry in waiting:
                self.keep(entry)

    async def fetch(self):
        """What is missing; all that is pushed follows on it."""
        self.more = True
        while self.more:
            if self.known is None:
                answer = await self.link.call("room.history", {"room": LOBBY}, taken=self.take)
            else:
                known = [self.known, self.nonces[self.known]] if self.known in self.nonces else [0, 0]
                said = {"epoch": self.epoch, "rooms": {str(LOBBY): known}}
                answer = await self.link.call("room.sync", said, taken=self.take)
            if not answer["ok"]:
                await self.pause()

    async def run(self):
        while True:
            if self.known is not None and self.chance.random() < self.world.reloaded:
                self.view.append(history.Left())
                self.forget()
            await self.arrive()
            with contextlib.suppress(Lost):
                while True:
                    self.wanted.clear()
                    await self.fetch()
                    await self.wait(self.wanted)
                    if self.link.lost.done():
                        raise Lost


class World:
    """Use: `async with World(...) as world`, then lives, then finish()."""

    def __init__(self, server, seed, senders, listeners=5, flooders=0, plain=False):
        """`plain`: nobody repeats what is done, and no listener forgets."""
        self.server, self.seed = server, seed
        self.repeated, self.changed, self.reloaded = (0, 0, 0) if plain else (REPEATED, CHANGED, RELOADED)
        self.entries = Entries()
        self.sends, self.views, self.unordered = {}, {}, set()
        self.faults, self.counts = [], collections.Counter()
        self.loud, self.flooding = asyncio.Event(), asyncio.Event()
        self.accept_s, self.accept_cpu_s, self.back_s = [], [], []
        self.present, self.accepted_at, self.kills = set(), None, 0
        ways = lambda n: ("chat", "http", "root") if n % 5 == 4 else ("chat",)  # noqa: E731
        self.senders = [Sender(self, f"sender{n}", ways(n)) for n in range(senders)]
        self.senders += [Flooder(self, f"flooder{n}") for n in range(flooders)]
        self.listeners = [Listener(self, f"listener{n}") for n in range(listeners)]
        self.clients = self.senders + self.listeners
        self.tasks = []

    async def __aenter__(self):
        asyncio.get_running_loop().set_exception_handler(self.on_exception)
        self.tasks = [asyncio.create_task(client.run(), name=client.name) for client in self.clients]
        for task in self.tasks:
            task.add_done_callback(self.on_task)
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.remove_done_callback(self.on_task)
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        links = [client.link for client in self.clients if client.link is not None]
        for link in links:
            link.abort()
        for sender in self.senders:
            if sender.caller is not None:
                sender.caller.close()
        await until(lambda: all(link.lost.done() for link in links), "connections to end")

    # What clients report

    def fault(self, text):
        self.faults.append(text)

    def on_exception(self, _, context):
        self.fault(f"{context['message']}: {context.get('exception')!r}")

    def on_task(self, task):
        self.fault(f"{task.get_name()} ended: {None if task.cancelled() else task.exception()!r}")

    def refused(self, what, client, answer):
        self.counts[f"{what}: {answer['error']}"] += 1
        if answer["error"] not in RETRIED:
            self.fault(f"{client.name}'s {what} is refused: {answer}")

    def arrived(self, client):
        self.present.add(client.name)
        self.counts["arrivals"] += 1
        if len(self.present) == -(-len(self.clients) * 95 // 100) and self.accepted_at:
            self.back_s.append(time.monotonic() - self.accepted_at)

    def disconnected(self, client):
        self.counts[f"closed with {client.link.ends}" if client.link.ends else "cut"] += 1

    def acknowledged(self):
        return [send for sent in self.sends.values() for send in sent if send.acks]

    # Lives

    async def until(self, condition, what, seconds=SETTLE_S):
        await until(lambda: self.faults or condition(), what, seconds)
        assert not self.faults, self.faults[0]

    def start(self):
        self.present.clear()
        self.accepted_at = None
        self.server.start()

    async def accept(self):
        await self.until(self.server.accepts, "the server to accept", 10 * SLOWER)
        self.accepted_at = time.monotonic()
        self.accept_s.append(self.accepted_at - self.server.began)
        self.accept_cpu_s.append(self.server.cpu_ticks() / TICKS_PER_S)

    async def all_back(self):
        await self.until(lambda: len(self.present) >= len(self.clients) * BACK,
            lambda: f"all to be back: {len(self.present)} of {len(self.clients)} are")

    async def start_for_good(self):
        self.start()
        await self.accept()
        await self.all_back()

    def kill(self):
        self.server.kill()
        self.kills += 1

    async def settle(self):
        """All that was said is answered, and every listener has heard it."""
        self.loud.clear()
        self.flooding.clear()
        await self.until(lambda: not any(sender.current for sender in self.senders), lambda: "answers of "
            + str([(s.name, s.link.lost.done()) for s in self.senders if s.current][:5]))
        link, hello = await self.visit()
        await link.end()
        head = hello["rooms"][0]["head"]
        await self.until(lambda: all((client.known or 0) >= head for client in self.listeners),
            lambda: f"listeners to hear {head}: {[client.known for client in self.listeners]}")

    async def visit(self):
        """Another guest, there for the first time."""
        link = await Link.open(self.server.port)
        return link, await link.call("hello", {"name": "reader"})

    async def read(self):
        """The log, read in two ways."""
        link, hello = await self.visit()
        backward = await read_backward(link, self.entries)
        forward = await read_forward(link, self.entries, hello["epoch"])
        await link.end()
        history.compare(backward, forward, "room.sync against room.history")
        assert len(backward) == hello["rooms"][0]["head"], f"{len(backward)} entries, the head is {hello['rooms'][0]}"
        return backward

    def check(self, log):
        """What is wrong; the views as they are now."""
        return history.check(log, self.sends, self.views, self.unordered)

    def figures(self):
        sends = [send for sent in self.sends.values() for send in sent]
        note(f"{self.kills} kills, {len(sends)} messages, {sum(bool(send.acks) for send in sends)} acknowledged, "
             f"{sum(send.attempts > 1 for send in sends)} sent more than once, {len(self.views)} listeners' logs")
        for what, seconds in (("from start to first accept", self.accept_s), ("of these on a CPU", self.accept_cpu_s),
                (f"until {BACK:.0%} are back", self.back_s)):
            if seconds:
                note(f"{what}: median {statistics.median(seconds):.3f} s, most {max(seconds):.3f} s of {len(seconds)}")
        note("; ".join(f"{what}: {count}" for what, count in sorted(self.counts.items())))

    async def finish(self, end):
        """Everything is checked: settled, read from the server, then `end` ends it and the folder is read."""
        await self.settle()
        log = await self.read()
        await self.__aexit__()
        end()
        self.figures()
        findings = self.check(log)
        note(f"log of {len(log)}: {findings.figures()}")
        for line in findings.lines():
            note(line)
        assert not findings, findings.figures()
        self.server.check_integrity()
        history.compare(log, self.server.read_log(), "the folder")
        assert not self.faults, self.faults[0]
        assert not self.server.faults(), self.server.faults()[0]
