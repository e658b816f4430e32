"""An echo server on a Unix socket, for a proxy on the same machine."""

from pathlib import Path

import trio

from trio_draftws import (
    Connection,
    Server,
    open_unix_listener,
    same_host,
    serve_websocket,
)


async def echo(connection: Connection, state: None) -> None:
    """Echoes."""
    async for message in connection:
        await connection.send(message)


async def main(
    path: Path = Path("/run/example/socket"),
    *,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves the members of one group, which the proxy belongs to."""
    listener = await open_unix_listener(path, mode=0o660)
    await serve_websocket(
        echo,
        listeners=[listener],
        trusted_proxies=["unix"],
        origins=same_host,
        task_status=task_status,
    )


if __name__ == "__main__":
    trio.run(main)
