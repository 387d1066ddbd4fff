"""How our client speaks to S3, as a server sees it."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.awsrequest import AWSResponse

from lakepart.errors import ErrorCode, StorageError
from lakepart.storage.s3 import S3Store
from lakepart.storage.s3_client import make_client
from lakepart.storage.s3_failures import translated

NEVER = {"max_attempts": 0}


class _Server(ThreadingHTTPServer):
    """Takes everything, and notes the heads of requests."""

    daemon_threads = True
    request_queue_size = 128

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

    def do_GET(self):
        self.server.together.wait(timeout=60)
        self.send_response(206)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"a")

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Last-Modified", self.server.written_at)
        self.send_header("Content-Length", "1")
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


@pytest.fixture
def options(server):
    return {"endpoint_url": f"http://127.0.0.1:{server.server_port}", "key": "k", "secret": "s", "region": "us-east-1"}


@pytest.mark.parametrize(("size_bytes", "waits"), [(1, False), (2 << 20, False), ((2 << 20) + 1, True)])
def test_only_a_long_body_waits_until_the_server_lets_it_come(server, options, size_bytes, waits):
    S3Store("s3://acme/lake", options).put_new("a", bytes(size_bytes))

    (head,) = server.heads
    assert ("Expect" in head) is waits


class Raw(io.BytesIO):
    """A body, as botocore takes it from the network."""

    def stream(self, **_):
        yield self.read()


@pytest.fixture(scope="module")
def answering():
    """A client, and where the next answer that it gets is put; it takes longer to make than to use."""
    client = make_client({"key": "k", "secret": "s", "region": "us-east-1", "config_kwargs": {"retries": NEVER}})
    answers = []

    def answer(request, **_):
        status, body = answers.pop()
        return AWSResponse(request.url, status, {"Content-Length": str(len(body))}, Raw(body))

    client.meta.events.register("before-send.s3", answer)
    return client, answers


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"<Error><Code>SlowDownRead</Code></Error>"])
@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_whatever_a_busy_server_or_a_gateway_says_waiting_may_cure_it(answering, status, body, operation):
    client, answers = answering
    answers.append((status, body))

    with pytest.raises(StorageError) as caught, translated("read", "s3://lakes/a"):
        getattr(client, operation)(Bucket="lakes", Key="a")

    assert caught.value.code is ErrorCode.STORAGE_UNREACHABLE
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("more", "said"), [({}, "lakepart Boto3/"), ({"config_kwargs": {"user_agent_extra": "ours/2"}}, " ours/2")]
)
def test_the_server_is_told_who_asks(server, options, more, said):
    S3Store("s3://acme/lake", options | more).put_new("a", b"a")

    assert said in server.heads[0]["User-Agent"]


@pytest.mark.parametrize(
    "written_at",
    [
        "Thu, 29 Feb 2024 23:59:58 GMT",
        "Thu, 29 Feb 2024 23:59:58 -0000",
        "2024-02-29T23:59:58.000Z",
        "2024-02-29T23:59:58Z",
        "20240229T235958Z",
        "1709251198",
    ],
)
def test_the_time_of_an_object_is_read_in_whatever_form_it_comes(server, options, written_at):
    server.written_at = written_at

    assert S3Store("s3://acme/lake", options).stat("a").modified_at == datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)


def test_readers_of_several_threads_keep_their_connections(server, options, caplog):
    store, server.together = S3Store("s3://acme/lake", options), threading.Barrier(100)

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(lambda _: store.read_ranges("a", [(0, 1)]), range(100))) == [[b"a"]] * 100

    assert "Connection pool is full" not in caplog.text  # and what is dropped is opened anew for the next request
