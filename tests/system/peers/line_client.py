"""A python-socketio client driven by lines: `line_client.py URL websocket|polling|upgrade [AUTH as JSON]`.

The commands and answers are those of line_client.mjs.
"""

import base64
import json
import os
import sys

import socketio


def to_plain(value):
    if isinstance(value, (bytes, bytearray)):
        return {"$binary": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def from_plain(value):
    if isinstance(value, dict):
        if list(value) == ["$binary"]:
            return base64.b64decode(value["$binary"])
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    return value


def say(value):
    sys.stdout.write(json.dumps(to_plain(value)) + "\n")
    sys.stdout.flush()


def arguments():
    url, name, *auth = sys.argv[1:4]
    return url, ["polling", "websocket"] if name == "upgrade" else [name], json.loads(auth[0]) if auth else None


def main():
    # Header and attachments of a binary packet go to threads of their own: let each run until it waits.
    sys.setswitchinterval(1)
    url, transports, auth = arguments()
    client = socketio.Client(reconnection=False)
    client.on("connect", lambda: say({"connected": True}))
    client.on("disconnect", lambda: say({"gone": "disconnect"}))

    def heard(event, *args):
        say({"event": [event, *args]})
        return tuple(args)

    client.on("*", heard)
    client.connect(url, transports=transports, auth=auth)
    for line in sys.stdin:
        command = from_plain(json.loads(line))
        if "emit" in command:
            event, *args = command["emit"]
            client.emit(event, tuple(args))
        elif "ask" in command:
            event, *args = command["ask"]
            client.emit(event, tuple(args), callback=lambda *answer: say({"ack": answer}))
        else:
            client.disconnect()
    os._exit(0)


if __name__ == "__main__":
    main()
