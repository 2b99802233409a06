#!/usr/bin/python3
"""Debian's python-socketio at a door: what middleware and `allow` say to a client that may not come in, and what it keeps."""

import os
import queue
import sys

import socketio

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from systest import Server, run, take  # noqa: E402

TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}

server = Server("door")


def knock(transports, auth=None, namespace="/", headers=None):
    """A client and what it hears, once it has been let in or refused; connect() raises if all was refused."""
    heard = queue.Queue()
    client = socketio.Client(reconnection=False)
    client.on("*", lambda event, *args: heard.put((event, *args)), namespace=namespace)
    client.on("connect_error", lambda *args: heard.put(("connect_error", *args)), namespace=namespace)
    try:
        client.connect(server.url, transports=transports, namespaces=[namespace], auth=auth, headers=headers or {})
    except socketio.exceptions.ConnectionError as error:
        return client, heard, str(error)
    return client, heard, None


def refused_by_middleware(transports):
    for auth, said in ({"as": "bare"}, {"message": 'no "entry"'}), (
            {"as": "data"}, {"message": "ünï", "data": {"code": 7, "why": [1, None]}}):
        client, heard, error = knock(transports, auth)
        assert error is not None, "it was let in"
        assert take(heard, lambda event: event[0] == "connect_error", "connect_error")[1] == said
        client.disconnect()
    client, heard, error = knock(transports, namespace="/closed")
    assert error is not None and take(heard, lambda event: True, "connect_error")[1] == {"message": "Forbidden"}
    client.disconnect()


def refused_by_allow(transports):
    client, _, error = knock(transports, headers={"X-Refuse": "plainly"})
    assert error is not None, "it was let in"
    client.disconnect()


def let_in(transports):
    client, heard, error = knock(transports, {"as": "somebody"}, headers={"Origin": "http://good.example", "X-Name": "Ada"})
    assert error is None, error
    assert take(heard, lambda event: event[0] == "welcome", "welcome")[1] == "Ada"
    assert list(client.call("any name", ("a", 1))) == ["any name", "a", 1]
    client.disconnect()


run([(f"{name}: {what.__name__.replace('_', ' ')}", lambda what=what, by=by: what(by))
     for name, by in TRANSPORTS.items() for what in (refused_by_middleware, refused_by_allow, let_in)]
    + [("the server ends when told, without complaints", server.stop)], [server])
