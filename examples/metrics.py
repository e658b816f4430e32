"""An echo server whose numbers Prometheus can scrape, on the same port.

    python examples/metrics.py [--port PORT]

It needs prometheus-client. The numbers are at /metrics.
"""

import argparse
import signal
from functools import partial

import trio
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from trio_draftws import (
    Close,
    Connection,
    HTTPResponse,
    Instrument,
    Ping,
    Pong,
    Reject,
    Request,
    Server,
    serve_websocket,
)


class Metrics(Instrument):
    """Counts what happens to the connections, in a Prometheus registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge(
            "websocket_open", "Open connections", ["draft"], registry=registry
        )
        self.frames = Counter(
            "websocket_frames",
            "Messages, and pings, pongs and closes",
            ["direction", "kind"],
            registry=registry,
        )
        self.bytes = Counter(
            "websocket_bytes",
            "Bytes of frames, before TLS",
            ["direction"],
            registry=registry,
        )
        self.latency = Histogram(
            "websocket_latency_seconds", "Until a ping was answered", registry=registry
        )
        self.refused = Counter(
            "websocket_refused", "Requests refused", ["status"], registry=registry
        )
        self.failed = Counter(
            "websocket_failed", "Openings that failed", ["error"], registry=registry
        )

    def connection_opened(self, connection: Connection) -> None:
        self.open.labels(connection.draft.name).inc()

    def connection_closed(self, connection: Connection) -> None:
        self.open.labels(connection.draft.name).dec()

    def message_received(self, connection: Connection, message: str | bytes) -> None:
        self.frames.labels("received", "message").inc()

    def message_sent(self, connection: Connection, message: object) -> None:
        self.frames.labels("sent", "message").inc()

    def control_received(
        self, connection: Connection, frame: Ping | Pong | Close
    ) -> None:
        self.frames.labels("received", type(frame).__name__.lower()).inc()

    def control_sent(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        self.frames.labels("sent", type(frame).__name__.lower()).inc()

    def bytes_received(self, connection: Connection, size: int) -> None:
        self.bytes.labels("received").inc(size)

    def bytes_sent(self, connection: Connection, size: int) -> None:
        self.bytes.labels("sent").inc(size)

    def latency_measured(self, connection: Connection, seconds: float) -> None:
        self.latency.observe(seconds)

    def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
        # Never by path or peer: every client could add a new series.
        self.refused.labels(str(status)).inc()

    def opening_failed(self, error: Exception, peer: str) -> None:
        self.failed.labels(type(error).__name__).inc()


async def show(registry: CollectorRegistry, request: Request) -> HTTPResponse:
    if request.path != "/metrics":
        raise Reject(404, body="The numbers are at /metrics\n")
    return HTTPResponse(
        200, {"Content-Type": CONTENT_TYPE_LATEST}, generate_latest(registry)
    )


async def echo(connection: Connection, state: None) -> None:
    async for message in connection:
        await connection.send(message)


async def main(port: int) -> None:
    registry = CollectorRegistry()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve_websocket,
                    echo,
                    port,
                    host="127.0.0.1",
                    http_handler=partial(show, registry),
                    instruments=[Metrics(registry)],
                )
            )
            print(f"listening on http://127.0.0.1:{server.port}/metrics", flush=True)
            await anext(signals)
            await server.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    trio.run(main, parser.parse_args().port)
