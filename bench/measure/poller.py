"""A Socket.IO client over long-polling, on one connection that is kept."""

import http.client
import json
import socket

PATH = "/socket.io/?EIO=4&transport=polling"
WAIT_SECONDS = 60


class Poller:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = port
        self.path = PATH
        self.path = f"{PATH}&sid={json.loads(self._ask('GET')[1:])['sid']}"
        self.post("40")
        if not self.poll().startswith("40{"):
            raise RuntimeError("the namespace was not joined")
        self.number = 0

    def _ask(self, method, body=""):
        """In one piece: HTTPConnection sends a body behind its head, and the server reads once or twice, as chance has it."""
        length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
        self.socket.sendall(f"{method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                            f"Accept-Encoding: identity\r\n{length}\r\n{body}".encode())
        with http.client.HTTPResponse(self.socket, method=method) as response:
            response.begin()
            text = response.read().decode()
        if response.status != 200:
            raise RuntimeError(f"{method}: {response.status} {text}")
        return text

    def post(self, packet):
        self._ask("POST", packet)

    def poll(self):
        return self._ask("GET")

    def echo(self, text):
        self.number += 1
        self.post(f"42{self.number}{json.dumps(['echo', text])}")
        if (answer := self.poll()) != f"43{self.number}{json.dumps([text])}":
            raise RuntimeError(f"not the answer: {answer}")

    def close(self):
        self.socket.close()
