"""A Socket.IO client over long-polling, on one connection that is kept."""

import http.client
import json

PATH = "/socket.io/?EIO=4&transport=polling"
WAIT_SECONDS = 60


class Poller:
    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, WAIT_SECONDS)
        self.path = PATH
        self.path = f"{PATH}&sid={json.loads(self._ask('GET')[1:])['sid']}"
        self.post("40")
        if not self.poll().startswith("40{"):
            raise RuntimeError("the namespace was not joined")
        self.number = 0

    def _ask(self, method, body=None):
        self.http.request(method, self.path, body)
        response = self.http.getresponse()
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
        self.http.close()
