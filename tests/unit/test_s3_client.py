"""How our client speaks to S3, as a server sees it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lakepart.storage.s3 import S3Store


class _Server(ThreadingHTTPServer):
    """Takes everything, and notes the heads of requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Taker)
        self.heads = []


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        self.server.heads.append(dict(self.headers))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("size_bytes", "waits"), [(1, False), (2 << 20, False), ((2 << 20) + 1, True)])
def test_only_a_long_body_waits_until_the_server_lets_it_come(server, size_bytes, waits):
    options = {
        "endpoint_url": f"http://127.0.0.1:{server.server_port}",
        "key": "k",
        "secret": "s",
        "region": "us-east-1",
    }

    S3Store("s3://acme/lake", options).put_new("a", bytes(size_bytes))

    (head,) = server.heads
    assert ("Expect" in head) is waits
