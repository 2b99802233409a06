#!/usr/bin/python3
"""Shows that the load generator notices what it must: a small server with planted faults, and the verdict on each.

    check_load.py build/bench/load        prints TAP
"""

import asyncio
import base64
import hashlib
import json
import re
import subprocess
import sys

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


async def run(load, fault, protocol):
    command, valid, why = CASES[fault]
    server = Server(fault, protocol)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        load, "--port", str(port), "--protocol", protocol, "--n", str(CONNS), "--stall", "1",
        command + f" count={BROADCASTS}", stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    listener.close()
    last = json.loads(out.splitlines()[-1])
    if valid:
        deliveries = BROADCASTS * (1 if command == "echo" else CONNS)
        ok = process.returncode == 0 and last["valid"] and last["deliveries"] == deliveries
    else:
        ok = process.returncode == 1 and not last.get("valid") and why in last["why"]
    return ok, last


def main():
    tests = [(fault, protocol) for protocol in ("socketio", "raw") for fault in CASES]
    print(f"TAP version 13\n1..{len(tests)}")
    failed = 0
    for number, (fault, protocol) in enumerate(tests, 1):
        ok, last = asyncio.run(run(sys.argv[1], fault, protocol))
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {number} - {protocol}: {fault}: {last.get('why') or 'valid'}", flush=True)
    return failed > 0


sys.exit(main())
