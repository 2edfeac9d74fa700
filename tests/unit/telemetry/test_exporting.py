"""Spans leave for a collector, over HTTP, when the settings name one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dreamshare_aggregator.telemetry.exporting import tracer_to


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.bodies: list[bytes] = []


class _Requests(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(self.path.encode() + b" " + body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_left_is_sent_at_the_end(collector: Collector) -> None:
    with tracer_to(f"http://127.0.0.1:{collector.server_port}/v1/traces") as tracer:
        tracer.start_span("a-task").end()
    (sent,) = collector.bodies
    assert sent.startswith(b"/v1/traces ")
    assert b"a-task" in sent
    assert b"dreamshare-aggregator" in sent
