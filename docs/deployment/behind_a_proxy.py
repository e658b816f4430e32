"""An echo server whose clients come through a proxy that ends TLS."""

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Request,
    Server,
    same_host,
    serve_websocket,
)


async def conn_headers(request: Request) -> tuple[HeaderFields, str]:
    """Takes the client's address and the URL from what the proxy adds."""
    client = request.headers["X-Forwarded-For"]
    assert request.draft is not None
    if request.draft.version is not None:
        return {}, client
    # Up to hybi-03 the answer repeats the URL, and clients check that it is theirs.
    url = f"wss://{request.host}{request.target}"
    return {"Sec-WebSocket-Location": url, "WebSocket-Location": url}, client


async def echo(connection: Connection, client: str) -> None:
    """Echoes."""
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
        conn_headers=conn_headers,
        origins=same_host,
        task_status=task_status,
    )


if __name__ == "__main__":
    trio.run(main)
