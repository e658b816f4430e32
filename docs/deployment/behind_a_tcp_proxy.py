"""A server that does its own TLS behind a proxy, which says who the client is."""

import ssl
from pathlib import Path

import trio

from trio_draftws import (
    Connection,
    Server,
    proxy_protocol_factory,
    same_host,
    serve_websocket,
    ssl_stream_factory,
)


async def echo(connection: Connection, state: None) -> None:
    """Tells the client its own address, and echoes."""
    await connection.send(f"you are {connection.remote}")
    async for message in connection:
        await connection.send(message)


async def main(
    certificate: Path = Path("/etc/ssl/private/example.com.pem"),
    port: int = 8443,
    *,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves those whom the proxy on this machine passes on."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await serve_websocket(
        echo,
        port,
        host="127.0.0.1",
        stream_factory=proxy_protocol_factory(
            ["127.0.0.1"], ssl_stream_factory(context)
        ),
        max_connections_per_host=50,
        origins=same_host,
        task_status=task_status,
    )


if __name__ == "__main__":
    trio.run(main)
