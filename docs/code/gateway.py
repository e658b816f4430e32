"""A gateway between a device that knows only hixie-76 and a modern client."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    Server,
    open_gateway,
    open_websocket,
    serve_websocket,
)


async def device(connection: Connection, state: object) -> None:
    async for message in connection.text:
        await connection.send(f"{message}, in {connection.draft.name}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        old: Server = await nursery.start(
            partial(serve_websocket, device, 0, host="127.0.0.1", drafts=["hixie-76"])
        )
        async with open_gateway(
            f"ws://127.0.0.1:{old.port}", draft="hixie-76"
        ) as gateway:
            new: Server = await nursery.start(
                partial(
                    serve_websocket,
                    gateway.handler,
                    0,
                    host="127.0.0.1",
                    conn_headers=gateway.conn_headers,
                    subprotocols=gateway.choose_subprotocol,
                )
            )
            url = f"ws://127.0.0.1:{new.port}/status"
            async with open_websocket(url, draft="rfc6455") as connection:
                await connection.send("temperature")
                print(await connection.receive())
            await new.aclose()
        await old.aclose()


trio.run(main)
