"""The chat's protocol for many clients in one thread: a WebSocket on asyncio with calls, and commands by HTTP.

A link is made, asked and lost; it never reconnects. What is asked of a lost one, or is unanswered when it is lost, raises
Lost: whether it was done is not known.
"""

import asyncio
import json
import struct

from history import Entry
from wire import CLOSE, PATH, TEXT, frame

UPGRADE = (f"GET {PATH}websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()
ENTRY, GAP = b'42/chat,["entry",', b'42/chat,["gap",'
ANSWER, PLAIN_ANSWER = b"43/chat,", b"43"
READ_LIMIT = 1 << 22
NO_MASK = bytes(4)


class Lost(Exception):
    """The connection ended, or was never made."""


class Entries:
    """Entries as they came, each made once for all who hear it."""

    def __init__(self):
        self.by_text, self.same = {}, {}

    def live(self, text):
        entry = self.by_text.get(text)
        if entry is None:
            entry = self.by_text[text] = self.of(json.loads(text))
        return entry

    def of(self, e):
        entry = Entry(e["seq"], e["nonce"], e["at"], e["author"]["id"], e["author"]["name"], e["text"], e.get("cid", ""))
        return self.same.setdefault(entry, entry)


class Link(asyncio.Protocol):
    """One Engine.IO session over a WebSocket, in /chat and, when asked, in /."""

    def __init__(self, on_entry=None, on_gap=None):
        self.on_entry, self.on_gap = on_entry, on_gap
        self.heard, self.shaken = bytearray(), False
        self.calls, self.asked = {}, 0
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()
        self.ends = None  # the code of the close frame, or what was said instead
        self.namespaces = {}

    @classmethod
    async def open(cls, port, **handlers):
        """Connected, and in /chat."""
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(lambda: cls(**handlers), "127.0.0.1", port)
        except OSError as error:
            raise Lost from error
        link.transport.write(UPGRADE)
        await link.join("/chat,", "")
        return link

    async def join(self, namespace, auth):
        """Into a namespace; what it answers is not of interest, unless it refuses."""
        joined = self.namespaces[namespace] = asyncio.get_running_loop().create_future()
        if self.shaken:
            self.say(f"40{namespace}{auth}")
        refusal = await self._unless_lost(joined)
        assert not refusal, f"refused: {refusal}"

    async def _unless_lost(self, future):
        if self.lost.done():
            raise Lost
        await asyncio.wait((future, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise Lost
        return future.result()

    # asyncio.Protocol

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data):
        self.heard += data
        if not self.shaken:
            head, mark, rest = bytes(self.heard).partition(b"\r\n\r\n")
            if not mark:
                return
            if b" 101 " not in head.split(b"\r\n")[0] + b" ":
                self.ends = head[:60]
                self.close()
                return
            self.shaken, self.heard = True, bytearray(rest)
            for namespace in self.namespaces:
                self.say(f"40{namespace}")
        self._frames()

    def _frames(self):
        heard, at, size = self.heard, 0, len(self.heard)
        while size - at >= 2:
            opcode, length, start = heard[at], heard[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if size < start:
                    break
                length = int.from_bytes(heard[at + 2:start], "big")
            if size < start + length:
                break
            at = start + length
            assert opcode in (0x80 | TEXT, 0x80 | CLOSE), f"a frame of {opcode:#x}"
            self._packet(opcode & 15, bytes(heard[start:at]))
        del heard[:at]

    def _packet(self, opcode, text):
        if opcode == CLOSE:
            self.ends = struct.unpack("!H", text[:2])[0] if text else 1005
            self.close()
        elif text.startswith(ENTRY):
            if self.on_entry:
                self.on_entry(text[len(ENTRY):-1])
        elif text.startswith(ANSWER):
            self._answered(text[len(ANSWER):])
        elif text.startswith(GAP):
            if self.on_gap:
                self.on_gap()
        elif text == b"2":
            self.say("3")
        elif text.startswith(PLAIN_ANSWER):
            self._answered(text[len(PLAIN_ANSWER):])
        elif text.startswith((b"40", b"44")):
            namespace = "/chat," if text[2:].startswith(b"/chat,") else ""
            self.namespaces[namespace].set_result(text.decode() if text.startswith(b"44") else None)
        elif text[:1] == b"1" or text.startswith(b"41"):
            self.ends = text
            self.close()

    def _answered(self, text):
        number, _, answer = text.partition(b"[")
        call, taken = self.calls.pop(int(number), (None, None))
        assert call, f"nobody asked for {text[:100]}"
        answer = json.loads(b"[" + answer)[0]
        if taken:
            taken(answer)
        if not call.done():
            call.set_result(answer)

    # What a client does

    def say(self, text):
        if not self.transport.is_closing():
            self.transport.write(frame(TEXT, text.encode(), mask=NO_MASK))

    def begin(self, event, *args, namespace="/chat,", taken=None):
        """Asks; a future of the answer. `taken` gets it too, before anything that was said after it is heard."""
        self.asked += 1
        call = asyncio.get_running_loop().create_future()
        self.calls[self.asked] = (call, taken)
        self.say(f"42{namespace}{self.asked}" + json.dumps([event, *args], separators=(",", ":"), ensure_ascii=False))
        return call

    async def call(self, event, *args, **options):
        return await self._unless_lost(self.begin(event, *args, **options))

    async def answer(self, call):
        """Of what was begun."""
        return await self._unless_lost(call)

    def close(self):
        self.transport.close()

    def abort(self):
        self.transport.abort()

    async def end(self):
        """Closed, and the server can know it."""
        self.abort()
        await self.lost


class Closing(asyncio.StreamReaderProtocol):
    """Closes when the other side has: asyncio's own keeps its half open."""

    def eof_received(self):
        super().eof_received()
        return False


class Caller:
    """Commands by HTTP over one connection after another, as a guest."""

    def __init__(self, port, token):
        self.port, self.token = port, token
        self.reader = self.writer = None

    async def _connect(self):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_LIMIT)
        transport, protocol = await loop.create_connection(lambda: Closing(reader), "127.0.0.1", self.port)
        self.reader, self.writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def call(self, command, argument):
        body = json.dumps(argument, ensure_ascii=False).encode()
        head = (f"POST /api/v1/{command} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Length: {len(body)}\r\n\r\n")
        try:
            if self.writer is None:
                await self._connect()
            self.writer.write(head.encode() + body)
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            [length] = [int(line.split(":")[1]) for line in lines if line.startswith("content-length:")]
            answer = await self.reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Lost from error
        if "connection: close" in lines:
            self.close()
        return json.loads(answer)

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None


async def read_forward(link, entries, epoch, room=1):
    """The whole log by room.sync from nothing."""
    log, known, more = [], [0, 0], True
    while more:
        answer = await link.call("room.sync", {"epoch": epoch, "rooms": {str(room): known}})
        assert answer["ok"], answer
        [page] = answer["rooms"]
        assert not page["reset"], page
        log += map(entries.of, page["entries"])
        more = page["more"]
        known = [log[-1].seq, log[-1].nonce] if log else known
    return log


async def read_backward(link, entries, room=1):
    """The whole log by pages of room.history, from its end."""
    pages, before = [], None
    while before is None or more:
        answer = await link.call("room.history", {"room": room, "limit": 200, **({"before": before} if before else {})})
        assert answer["ok"], answer
        pages.append([entries.of(entry) for entry in answer["entries"]])
        more = answer["more"]
        assert not more or pages[-1], "more, but nothing now"
        before = pages[-1][0].seq if pages[-1] else 0
    return [entry for page in reversed(pages) for entry in page]
