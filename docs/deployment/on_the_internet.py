"""An echo server for modern browsers, where anybody can connect."""

import ssl
import sys

import trio

from trio_draftws import Connection, Server, serve_websocket


async def echo(connection: Connection, state: object) -> None:
    """Echoes."""
    async for message in connection:
        await connection.send(message)


async def main(
    certificate: str,
    port: int = 443,
    host: str | None = None,
    *,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """`certificate` is a file with the key and the chain."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await serve_websocket(
        echo,
        port,
        host=host,
        ssl_context=context,
        drafts=["rfc6455"],
        origins=["https://example.com"],
        max_connections=5000,
        max_connections_per_host=50,
        max_message_size=2**16,
        task_status=task_status,
    )


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
