"""A server whose clients come through a proxy that ends TLS."""

import trio

from trio_draftws import Connection, Server, same_host, serve_websocket


async def echo(connection: Connection, state: None) -> None:
    """Tells the client its own address, and echoes."""
    await connection.send(f"you are {connection.remote} at {connection.url}")
    async for message in connection:
        await connection.send(message)


async def main(
    port: int = 8080, *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serves where only the proxy on this machine can reach it."""
    await serve_websocket(
        echo,
        port,
        host="127.0.0.1",
        trusted_proxies=["127.0.0.1"],
        max_connections_per_host=50,
        origins=same_host,
        task_status=task_status,
    )


if __name__ == "__main__":
    trio.run(main)
