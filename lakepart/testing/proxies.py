"""A proxy before an HTTP server: it counts requests and bytes, delays them, and lets the network fail as asked."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n")
_CHUNK_BYTES = 1 << 18
_LOOK_EVERY_S = 0.01
_NO_LINGER = struct.pack("ii", 1, 0)  # closing such a socket resets the connection


class Fault(StrEnum):
    """What befalls a request."""

    SLOW_DOWN = "slow-down"  # answered 503 SlowDown, and not passed on
    INTERNAL_ERROR = "internal-error"  # answered 500 InternalError, and not passed on
    EXPIRED_TOKEN = "expired-token"  # noqa: S105 - answered 400 ExpiredToken, and not passed on
    ACCESS_DENIED = "access-denied"  # answered 403 AccessDenied, and not passed on
    NOT_IMPLEMENTED = "not-implemented"  # answered 501 NotImplemented, and not passed on
    SILENCE = "silence"  # neither passed on nor answered
    LOST_ANSWER = "lost-answer"  # carried out; the connection is reset instead of an answer
    CUT_ANSWER = "cut-answer"  # carried out; the connection is reset in the middle of the answer
    HALF_CLOSED = "half-closed"  # carried out; the end of the answers comes before this one


_ANSWERED = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.INTERNAL_ERROR: (500, "InternalError"),
    Fault.EXPIRED_TOKEN: (400, "ExpiredToken"),
    Fault.ACCESS_DENIED: (403, "AccessDenied"),
    Fault.NOT_IMPLEMENTED: (501, "NotImplemented"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as its first line says: ``PUT``, ``/bucket/key?uploads=``."""

    method: str
    target: str


@dataclass(slots=True)
class Traffic:
    """What has passed: requests by method, bytes to the server and from it, heads included."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass(slots=True)
class _Order:
    fault: Fault
    matches: Callable[[Request], bool]
    times: int


class Hold:
    """Requests that wait before the server; see :meth:`Proxy.hold`."""

    def __init__(self, matches: Callable[[Request], bool]) -> None:
        self._matches = matches
        self._arrived = threading.Event()
        self._let_go = threading.Event()

    def wait(self, timeout_s: float = 60.0) -> None:
        """Wait for the first of them."""
        if not self._arrived.wait(timeout_s):
            raise TimeoutError(f"no such request has come within {timeout_s} s")

    def let_go(self) -> None:
        """Pass them on, and hold no more."""
        self._let_go.set()

    async def delay(self, request: Request) -> None:
        """Keep a request for as long as it is to wait."""
        if self._matches(request):
            self._arrived.set()
            while not self._let_go.is_set():
                await asyncio.sleep(_LOOK_EVERY_S)


class Proxy:
    """Passes bytes between clients and one server, until :func:`proxy_before` ends.

    Attributes
    ----------
    url
        Where clients find it.
    delay_s
        How long each request waits before it is passed on.
    left_out
        Names of headers that are not passed on, in small letters. Requests that are signed do not bear that.
    """

    def __init__(self, host: str, port: int) -> None:
        self.url = ""
        self.delay_s = 0.0
        self.left_out: frozenset[str] = frozenset()
        self._host, self._port = host, port
        self._orders: list[_Order] = []
        self._holds: list[Hold] = []
        self._traffic = Traffic()
        self._lock = threading.Lock()
        self._writers: set[asyncio.StreamWriter] = set()  # whose sockets may be open
        self._carrying: set[asyncio.Task[None]] = set()

    def fail(self, fault: Fault, matches: Callable[[Request], bool] = lambda _: True, *, times: int = 1) -> None:
        """Let ``fault`` befall the next ``times`` requests that match."""
        with self._lock:
            self._orders.append(_Order(fault, matches, times))

    def hold(self, matches: Callable[[Request], bool]) -> Hold:
        """Let requests that match wait until they are let go: their client stands still at a known point."""
        with self._lock:
            self._holds.append(Hold(matches))
            return self._holds[-1]

    def heal(self) -> int:
        """Let nothing befall any more; gives how many of the faults asked for have not been met."""
        with self._lock:
            left = sum(order.times for order in self._orders)
            self._orders.clear()
            return left

    def take_traffic(self) -> Traffic:
        """Give what has passed since this was last asked."""
        with self._lock:
            taken, self._traffic = self._traffic, Traffic()
            return taken

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to carry a connection."""
        self._writers.add(writer)
        carrying = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(carrying)
        carrying.add_done_callback(self._carrying.discard)

    async def end(self) -> None:
        """Break off what is being carried, and wait until no socket is open any more."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(one.wait_closed() for one in self._writers), return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened, tasks = [writer], list[asyncio.Task[None]]()
        try:
            answers, upstream = await asyncio.open_connection(self._host, self._port)
            opened.append(upstream)
            self._writers.add(upstream)
            connection = _Connection(self, writer, upstream)
            tasks.append(asyncio.create_task(connection.pass_requests(reader)))
            tasks.append(asyncio.create_task(connection.pass_answers(answers)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            _reset(writer)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for one in opened:
            one.close()
        await asyncio.gather(*(one.wait_closed() for one in opened), return_exceptions=True)
        self._writers.difference_update(opened)

    async def delay(self, request: Request) -> None:
        """Let a request wait as long as it is to."""
        for hold in list(self._holds):
            await hold.delay(request)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)

    def note_request(self, request: Request) -> Fault | None:
        """Count a request, and say what befalls it."""
        with self._lock:
            self._traffic.requests[request.method] += 1
            for order in self._orders:
                if order.times and order.matches(request):
                    order.times -= 1
                    return order.fault
        return None

    def note_bytes(self, *, up: int = 0, down: int = 0) -> None:
        """Count bytes."""
        with self._lock:
            self._traffic.bytes_up += up
            self._traffic.bytes_down += down


class _Connection:
    """One client's connection: a request begins where bytes that look like its first line follow on an answer."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._fault: Fault | None = None

    async def pass_requests(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            self._proxy.note_bytes(up=len(data))
            if (found := _REQUEST.match(data)) is not None:
                request = Request(found[1].decode(), found[2].decode())
                self._fault = self._proxy.note_request(request)
                await self._proxy.delay(request)
                if self._fault in _ANSWERED:
                    await self._answer(*_ANSWERED[self._fault], with_body=request.method != "HEAD")
                    return
                data = _without(self._proxy.left_out, data)
            if self._fault is Fault.SILENCE:
                continue
            self._server.write(data)
            await self._server.drain()

    async def pass_answers(self, answers: asyncio.StreamReader) -> None:
        while data := await answers.read(_CHUNK_BYTES):
            if self._fault is not None and not data.startswith(b"HTTP/1.1 100 "):
                if self._fault is Fault.CUT_ANSWER:
                    head = data.find(b"\r\n\r\n") + 4
                    self._client.write(data[: (head + len(data)) // 2 if len(data) > head else head // 2])
                    await self._client.drain()
                if self._fault is Fault.HALF_CLOSED:
                    self._client.write_eof()
                    await asyncio.sleep(_UNTIL_NOTICED_S)
                _reset(self._client)
                return
            self._proxy.note_bytes(down=len(data))
            self._client.write(data)
            await self._client.drain()

    async def _answer(self, status: int, code: str, *, with_body: bool) -> None:
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        self._client.write(f"{head}Connection: close\r\n\r\n{body if with_body else ''}".encode())
        await self._client.drain()


def _without(names: frozenset[str], data: bytes) -> bytes:
    """Give the beginning of a request without the headers of these names."""
    head, separator, body = data.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if line.partition(b":")[0].decode("latin-1").lower() not in names]
    return b"\r\n".join(kept) + separator + body


_UNTIL_NOTICED_S = 0.2


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


@contextmanager
def proxy_before(url: str) -> Iterator[Proxy]:
    """Put a proxy before the HTTP server at ``url``, on a port of 127.0.0.1, for as long as the block lasts."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "", parts.port or 80)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lakepart-proxy", daemon=True)
    thread.start()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(proxy.accept, "127.0.0.1", 0, limit=_CHUNK_BYTES)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        await proxy.end()

    try:
        server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(stop(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
