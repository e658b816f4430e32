"""Timeouts are Trio's: put one around whatever may take too long."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    HandshakeTimeout,
    Server,
    open_websocket,
    serve_websocket,
)


async def slow(connection: Connection, state: object) -> None:
    async for message in connection:
        await trio.sleep(0.3)
        await connection.send(f"about {message!r}: yes")


async def say_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, slow, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            await connection.send("is it so?")
            try:
                with trio.fail_after(0.05):
                    print(await connection.receive())
            except trio.TooSlowError:
                print("no answer in time; the connection is as good as before")
            print(await connection.receive())

            # A whole exchange can have one deadline, too.
            with trio.move_on_after(0.05) as scope:
                await connection.send("and now?")
                await connection.receive()
            print("gave up:", scope.cancelled_caught)
        await server.aclose()

        # This server accepts and never answers: the opening has its own deadline.
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, say_nothing, [listener])
        port = listener.socket.getsockname()[1]
        try:
            async with open_websocket(
                f"ws://127.0.0.1:{port}/", draft="rfc6455", handshake_timeout=0.1
            ):
                pass
        except HandshakeTimeout as error:
            print("a trio.TooSlowError too:", isinstance(error, trio.TooSlowError))
        nursery.cancel_scope.cancel()


trio.run(main)
