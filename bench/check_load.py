#!/usr/bin/python3
"""Shows that the load generator notices what it must: a small server with planted faults, and the verdict on each; then posts to
the program itself.

    check_load.py build/bench/load build/src/app/palaver        prints TAP
"""

import asyncio
import base64
import functools
import hashlib
import json
import re
import socket
import subprocess
import sys
import tempfile

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONNS = 20
BROADCASTS = 10
FAULT_AT = 5  # the operation that goes wrong

# name: (command, valid?, what the verdict says)
CASES = {
    "none": ("broadcast w=3", True, ""),
    "none_echo": ("echo", True, ""),
    "split": ("broadcast w=3", True, ""),
    "joined": ("broadcast w=8", True, ""),
    "none_rate": ("rate per_second=200", True, ""),
    "drop": ("broadcast w=1", False, "stalls"),
    "twice": ("broadcast w=2", False, "twice"),
    "last_twice": ("broadcast w=1", False, "twice"),
    "short": ("broadcast w=1", False, "nobody sent"),
    "corrupt": ("broadcast w=1", False, "nobody sent"),
    "fragment": ("broadcast w=1", False, "bad frame"),
    "reset": ("broadcast w=1", False, "connection"),
    "close_frame": ("broadcast w=1", False, "closed by the server with 1001"),
    "wrong_ack": ("echo", False, "not the answer"),
    "echo_twice": ("echo", False, "not the answer"),
    "refuse": ("broadcast w=1", False, "handshake refused"),
}

# The same for posts, which are of the protocol `chat`.
POSTS = {
    "none": (True, ""),
    "refused": (False, ": busy"),
    "no_answer": (False, "stalls"),
    "answer_twice": (False, "an answer to nothing"),
    "answer_first": (False, "an answer before its entry"),
    "answer_elsewhere": (False, "an answer to nothing"),
    "other_number": (False, "an answer with another number"),
    "drop": (False, "not the next one"),
    "last_drop": (False, "stalls"),
    "entry_twice": (False, "not the next one"),
    "skip": (False, "not the next one"),
    "other_text": (False, "another text"),
    "foreign": (False, "nobody posted"),
    "again": (False, "nobody posted"),
    "gap": (False, "does not belong here"),
}
POST_COMMAND = "post w=50"

# And for rooms: five groups of four connections, each group in two rooms.
ROOMS = {
    "none": (True, ""),
    "drop": (False, "stalls"),
    "twice": (False, "twice"),
    "elsewhere": (False, "nobody sent"),
    "corrupt": (False, "nobody sent"),
    "not_joined": (False, "stalls"),
    "joined_other": (False, "not the answer"),
}
ROOMS_COMMANDS = ("join rooms=10 each=2", "rooms w=3")
ROOM_MEMBERS = 4


def frame(payload, first=0x81):
    n = len(payload)
    length = bytes([n]) if n < 126 else bytes([126]) + n.to_bytes(2, "big")
    return bytes([first]) + length + payload


async def read_message(reader):
    head = await reader.readexactly(2)
    n = head[1] & 0x7F
    if n == 126:
        n = int.from_bytes(await reader.readexactly(2), "big")
    mask = await reader.readexactly(4)
    data = await reader.readexactly(n)
    return bytes(b ^ mask[i & 3] for i, b in enumerate(data))


class Server:
    def __init__(self, fault, protocol):
        self.fault, self.protocol = fault, protocol
        self.writers, self.operations = [], 0
        self.turn = asyncio.Lock()  # a frame that goes out in pieces is not mixed with others

    async def serve(self, reader, writer):
        try:
            await self.handshake(reader, writer)
            while True:
                await self.take(await read_message(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def handshake(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        status = b"400 Bad Request" if self.fault == "refuse" else b"101 Switching Protocols"
        writer.write(b"HTTP/1.1 " + status + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        await self.greet(reader, writer)

    async def greet(self, reader, writer):
        if self.protocol == "socketio":
            writer.write(frame(b'0{"sid":"x","upgrades":[]}'))
            assert await read_message(reader) == b"40"
            self.writers.append(writer)
            writer.write(frame(b'40{"sid":"y"}') + frame(b"2"))
            assert await read_message(reader) == b"3"
        else:
            self.writers.append(writer)

    async def take(self, message, sender):
        echo = re.match(rb'42(\d+)\["echo",(.*)\]$', message)
        self.operations += 1
        if not echo and message[:1] != b"e":
            async with self.turn:
                return await self.broadcast(message)
        if echo:
            message = b"43" + echo[1] + b"[" + echo[2] + b"]"
        bad = self.operations == FAULT_AT
        if bad and self.fault == "wrong_ack":
            message = message[:2] + b"9" + message[3:]
        sender.write(frame(message) * (2 if bad and self.fault == "echo_twice" else 1))

    async def broadcast(self, message):
        whole = frame(message)
        odd = {
            "drop": b"",
            "twice": whole * 2,
            "last_twice": whole * 2,
            "short": frame(message[:-1]),
            "corrupt": frame(message[:60] + b"!" + message[61:]),
            "fragment": frame(message[:9], 0x01) + frame(message[9:], 0x80),
            "close_frame": frame((1001).to_bytes(2, "big"), 0x88),
        }
        at = BROADCASTS if self.fault == "last_twice" else FAULT_AT
        for i, writer in enumerate(self.writers):
            if self.fault == "reset" and self.operations == at and i == 7:
                writer.transport.abort()
            elif self.operations == at and i == 7:
                writer.write(odd.get(self.fault, whole))
            elif self.fault == "split":
                for k in range(0, len(whole), 41):
                    writer.write(whole[k:k + 41])
                    await asyncio.sleep(0)
            else:
                writer.write(whole)


class ChatServer(Server):
    """Answers posts; a fault is in one of them, mostly at the connection 7."""

    async def greet(self, reader, writer):
        writer.write(frame(b'0{"sid":"x","upgrades":[]}'))
        assert await read_message(reader) == b"40/chat,"
        writer.write(frame(b"2") + frame(b'40/chat,{"sid":"y"}'))
        assert await read_message(reader) == b"3"
        assert (await read_message(reader)).startswith(b'42/chat,0["hello",{"name":')
        self.writers.append(writer)
        writer.write(frame(b'43/chat,0[{"ok":true,"user":{}}]'))

    async def take(self, message, sender):
        number, post = re.match(rb'42/chat,(\d+)\["message.send",(.*)\]$', message).groups()
        post = json.loads(post)
        self.operations += 1
        bad = self.operations == (BROADCASTS if self.fault == "last_drop" else FAULT_AT)
        fault = self.fault if bad else None
        seq = self.operations + (self.fault == "skip" and self.operations >= FAULT_AT)
        text = post["text"][:-1] + "!" if fault == "other_text" else post["text"]
        cid = {"foreign": "b" * 32, "again": post["cid"][:-1] + "x"}.get(fault, post["cid"])
        entry = frame(b'42/chat,["entry",{"room":1,"seq":%d,"author":{"id":2},"text":"%s","cid":"%s"}]'
                      % (seq, text.encode(), cid.encode()))
        answer = frame(b'43/chat,%s[{"ok":true,"seq":%d,"nonce":1,"at":2}]' % (number, seq + (fault == "other_number")))
        if fault == "refused":
            answer = frame(b'43/chat,%s[{"ok":false,"error":"busy","message":"..."}]' % number)
        answer *= {"no_answer": 0, "answer_twice": 2}.get(fault, 1)
        if fault == "answer_first":
            sender.write(answer)
        for i, writer in enumerate(self.writers):
            copies = {"drop": 0, "last_drop": 0, "entry_twice": 2}.get(fault, 1) if i == 7 else 1
            writer.write(entry * copies + (frame(b'42/chat,["gap",{}]') if fault == "gap" else b""))
        if fault == "answer_elsewhere":
            sender = next(writer for writer in self.writers if writer is not sender)
        sender.write(answer)


class RoomsServer(Server):
    """Rooms by number; a fault is in one join or one message."""

    def __init__(self, fault, protocol):
        super().__init__(fault, "socketio")
        self.rooms, self.joins = {}, 0

    async def take(self, message, sender):
        name, *args = json.loads(message[message.index(b"["):])
        if name == "join":
            self.joins += 1
            for room in range(args[0], args[0] + args[1]):
                self.rooms.setdefault(room, []).append(sender)
            number = int(re.match(rb"42(\d+)", message)[1]) + (self.fault == "joined_other" and self.joins == FAULT_AT)
            if self.fault != "not_joined" or self.joins != FAULT_AT:
                sender.write(frame(b"43%d[]" % number))
            return
        self.operations += 1
        fault = self.fault if self.operations == FAULT_AT else None
        whole = frame(f'42["message","{args[1]}"]'.encode())
        odd = {"drop": b"", "twice": whole * 2, "corrupt": frame(f'42["message","{args[1][:-1]}!"]'.encode())}
        for i, writer in enumerate(self.rooms[args[0]]):
            writer.write(odd.get(fault, whole) if i == 1 else whole)
        if fault == "elsewhere":
            self.rooms[(args[0] + 5) % 10][0].write(whole)


async def run(load, server, command, protocol, valid, why, before=()):
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        load, "--port", str(port), "--protocol", protocol, "--n", str(CONNS), "--stall", "1",
        *before, command + f" count={BROADCASTS}", stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    listener.close()
    last = json.loads(out.splitlines()[-1])
    if valid:
        receivers = {"broadcast": CONNS, "rate": CONNS, "rooms": ROOM_MEMBERS}
        deliveries = BROADCASTS * receivers.get(command.split()[0], 1)
        ok = process.returncode == 0 and last["valid"] and last["deliveries"] == deliveries
        ok = ok and last["pushed"] == (BROADCASTS * CONNS if command == POST_COMMAND else 0)
    else:
        ok = process.returncode == 1 and not last.get("valid") and why in last["why"]
    return ok, last


async def posts_to(palaver, load):
    """The program itself: every post durable, every entry at every connection. What it ends with is no matter here."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        server = subprocess.Popen(
            [palaver, "serve", "--listen", f"127.0.0.1:{port}", "--data", folder, "--rate-limits", "off",
             "--log-level", "warn"], stdout=subprocess.PIPE, text=True)
        try:
            assert "listening" in server.stdout.readline()
            done = subprocess.run(
                [load, "--port", str(port), "--protocol", "chat", "--n", str(CONNS), POST_COMMAND + " count=300",
                 POST_COMMAND + " count=300"], stdout=subprocess.PIPE, text=True)
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()
    last = json.loads(done.stdout.splitlines()[-1])
    return done.returncode == 0 and last["operations"] == 300 and last["pushed"] == 300 * CONNS, last


def tests(load, palaver):
    """Pairs: a name, and a function that runs it."""
    for protocol in ("socketio", "raw"):
        for fault, (command, valid, why) in CASES.items():
            yield f"{protocol}: {fault}", functools.partial(
                run, load, Server(fault, protocol), command, protocol, valid, why)
    for fault, (valid, why) in POSTS.items():
        yield f"chat: {fault}", functools.partial(
            run, load, ChatServer(fault, "chat"), POST_COMMAND, "chat", valid, why)
    for fault, (valid, why) in ROOMS.items():
        *before, command = ROOMS_COMMANDS
        yield f"rooms: {fault}", functools.partial(
            run, load, RoomsServer(fault, "rooms"), command, "rooms", valid, why, before)
    yield "chat: palaver", functools.partial(posts_to, palaver, load)


def main():
    all_tests = list(tests(*sys.argv[1:3]))
    print(f"TAP version 13\n1..{len(all_tests)}")
    failed = 0
    for number, (name, test) in enumerate(all_tests, 1):
        ok, last = asyncio.run(test())
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {number} - {name}: {last.get('why') or 'valid'}", flush=True)
    return failed > 0


sys.exit(main())
