"""Engine.IO and Socket.IO by hand over blocking sockets: clients that can do what no proper client does."""

import json
import os
import socket
import struct

from harness import WAIT_S

PATH = "/socket.io/?EIO=4&transport="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SEPARATOR = "\x1e"


class Ended(Exception):
    """The server has closed the connection in order."""


class Stream:
    """A connection that is read by pieces of known length or end."""

    def __init__(self, port, receive_bytes=0, seconds=WAIT_S, source="127.0.0.1"):
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.settimeout(seconds)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.heard = b""

    def write(self, data):
        self.socket.sendall(data)

    def _more(self):
        more = self.socket.recv(1 << 18)
        if not more:
            raise Ended
        self.heard += more

    def read(self, count):
        while len(self.heard) < count:
            self._more()
        data, self.heard = self.heard[:count], self.heard[count:]
        return data

    def read_to(self, mark):
        while mark not in self.heard:
            self._more()
        data, self.heard = self.heard.split(mark, 1)
        return data

    def at_end(self):
        """True once the server ends the connection, by its end or by a reset; what came before is dropped."""
        try:
            while True:
                self.heard = b""
                self._more()
        except (Ended, ConnectionResetError):
            return True
        except TimeoutError:
            return False

    def end_output(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Http(Stream):
    """HTTP/1.1, requests as bytes."""

    def answer(self, head_only=False):
        head = self.read_to(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:])}
        status = int(head[0].split(" ")[1])
        no_body = head_only or status < 200 or status in (204, 304)
        return Answer(status, headers, b"" if no_body else self.read(int(headers["content-length"])))

    def send(self, method, target, body=None, headers=""):
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        self.write(f"{method} {target} HTTP/1.1\r\nHost: torture\r\n{headers}{length}\r\n".encode() + (body or b""))

    def ask(self, method, target, body=None, headers=""):
        self.send(method, target, body, headers)
        return self.answer()


def frame(opcode, payload, fin=True, rsv=0, mask=b"\x11\x22\x33\x44", length=None):
    """A frame as a client sends it; mask None sends it bare, length is what it says of its payload."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += struct.pack("!BQ", bit | 127, size)
    if mask is None:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(len(payload), "big")


class WebSocket(Http):
    """A WebSocket on the Engine.IO path, after its handshake and the open packet."""

    def __init__(self, port, **options):
        super().__init__(port, **options)
        self.send("GET", PATH + "websocket", headers="Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        answer = self.answer()
        assert answer.status == 101, f"no WebSocket: {answer.status}"
        opcode, payload = self.hear()
        assert opcode == TEXT and payload.startswith(b"0{"), payload
        self.opened = json.loads(payload[1:])

    def hear(self):
        """The next frame: opcode and payload."""
        first, length = self.read(2)
        if length == 126:
            length = struct.unpack("!H", self.read(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self.read(8))[0]
        return first & 15, self.read(length)

    def close_code(self):
        """The code of the close frame, other frames before it dropped; None where the connection ends without one."""
        try:
            while True:
                opcode, payload = self.hear()
                if opcode == CLOSE:
                    return struct.unpack("!H", payload[:2])[0] if payload else 1005
        except (Ended, ConnectionResetError):
            return None

    def say(self, text):
        self.write(frame(TEXT, text.encode(), mask=os.urandom(4)))


class Person(WebSocket):
    """A Socket.IO client in the namespace /."""

    def __init__(self, port, **options):
        super().__init__(port, **options)
        self.asked = 0
        self.say("40")
        self.packet("40{")

    def packet(self, start):
        """The next packet that starts so, without it; others before it are dropped, heartbeats answered."""
        while True:
            opcode, payload = self.hear()
            text = payload.decode()
            if opcode == CLOSE:
                raise Ended
            if text == "2":
                self.say("3")
            elif text.startswith(start):
                return text[len(start):]

    def emit(self, event, *args):
        self.say("42" + json.dumps([event, *args], separators=(",", ":")))

    def call(self, event, *args):
        self.asked += 1
        self.say(f"42{self.asked}" + json.dumps([event, *args], separators=(",", ":")))
        return json.loads(self.packet(f"43{self.asked}"))

    def hears(self, event):
        return json.loads("[" + self.packet(f'42["{event}",'))


class Poller:
    """An Engine.IO session by polling; which connection carries a request is chosen each time."""

    def __init__(self, http, join=True):
        answer = http.ask("GET", PATH + "polling")
        assert answer.status == 200, f"no session: {answer.status}"
        self.opened = json.loads(answer.body[1:])
        self.target = PATH + "polling&sid=" + self.opened["sid"]
        if join:
            self.post(http, "40")
            while not any(packet.endswith('["first"]') for packet in self.poll(http)):  # the last of the probe's greetings
                pass

    def post(self, http, *packets):
        answer = http.ask("POST", self.target, SEPARATOR.join(packets).encode())
        assert (answer.status, answer.body) == (200, b"ok"), f"{answer.status} {answer.body[:100]}"

    def poll(self, http):
        answer = http.ask("GET", self.target)
        assert answer.status == 200, f"{answer.status} {answer.body[:100]}"
        return answer.body.decode().split(SEPARATOR)


class Numbered(Poller):
    """Numbers what it says to the probe's `echo`, and expects just the answers to that, in order."""

    def __init__(self, http):
        super().__init__(http)
        self.said = self.heard = 0

    def words(self, fills=("",)):
        """The body of a POST: an event for each fill."""
        packets = []
        for fill in fills:
            packets.append(f'42{self.said}["echo",{self.said},"{fill}"]')
            self.said += 1
        return SEPARATOR.join(packets).encode()

    def take(self, body):
        """The body of a poll's answer: all of its packets must be the next ones."""
        for packet in body.decode().split(SEPARATOR):
            assert packet.startswith("43"), f"got {packet[:80]}"
            number, text = packet[2:].split("[", 1)
            assert int(number) == self.heard and json.loads("[" + text)[0] == self.heard, \
                f"got answer {packet[:40]}, {self.heard} is next"
            self.heard += 1
        assert self.heard <= self.said
