"""A remote database on loopback: ``python -m benchmarks.queue.proxy PORT 0.005`` hands each answer on 5 ms later."""

import asyncio
import sys

from benchmarks.servers import run, serve


class Answers(asyncio.Protocol):
    """The connection to the database. Packets of one delay stay in their order."""

    def __init__(self, client, delay):
        self.client, self.delay = client, delay

    def data_received(self, data):
        asyncio.get_running_loop().call_later(self.delay, self.client.transport.write, data)

    def connection_lost(self, error):
        asyncio.get_running_loop().call_later(self.delay, self.client.transport.close)


class Client(asyncio.Protocol):
    """The connection of a site. What it says before there is one to the database waits."""

    def __init__(self, port, delay):
        self.port, self.delay, self.waiting, self.database = port, delay, [], None

    def connection_made(self, transport):
        self.transport = transport
        self.connecting = asyncio.ensure_future(self.connect())

    async def connect(self):
        """Open the connection to the database."""
        loop = asyncio.get_running_loop()
        self.database, _ = await loop.create_connection(lambda: Answers(self, self.delay), "127.0.0.1", self.port)
        self.database.writelines(self.waiting)

    def data_received(self, data):
        if self.database:
            self.database.write(data)
        else:
            self.waiting.append(data)

    def connection_lost(self, error):
        if self.database:
            self.database.close()


if __name__ == "__main__":
    port, delay = int(sys.argv[1]), float(sys.argv[2])
    run(serve(lambda: Client(port, delay), lambda _: {}), has_delays=delay)
