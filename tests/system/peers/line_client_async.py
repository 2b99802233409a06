"""python-socketio's asynchronous client driven by lines; the arguments, commands and answers are those of line_client.py."""

import asyncio
import json
import os
import sys

import socketio
from line_client import arguments, from_plain, say


async def main():
    url, transports, auth = arguments()
    client = socketio.AsyncClient(reconnection=False)

    async def heard(event, *args):
        say({"event": [event, *args]})
        return tuple(args)

    client.on("connect", lambda: say({"connected": True}))
    client.on("disconnect", lambda: say({"gone": "disconnect"}))
    client.on("*", heard)
    await client.connect(url, transports=transports, auth=auth)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = from_plain(json.loads(line))
        if "emit" in command:
            event, *args = command["emit"]
            await client.emit(event, tuple(args))
        elif "ask" in command:
            event, *args = command["ask"]
            await client.emit(event, tuple(args), callback=lambda *answer: say({"ack": answer}))
        else:
            await client.disconnect()
    os._exit(0)


asyncio.run(main())
