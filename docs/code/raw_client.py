"""What a server says to a client that breaks the rules."""

import trio

from trio_draftws.testing import Ping, RawClient, echo, frame, served

KEY = b"\x37\xfa\x21\x3d"


async def main() -> None:
    async with served(echo, max_message_size=1000) as server:
        # A correct opening, then a bad message
        async with RawClient(await server.dial()) as client:
            await client.open("rfc6455")
            await client.send(frame(1, b"hel", final=False, mask=KEY))
            await client.send_frame(Ping(b"still there?"))
            await client.expect_pong(b"still there?")
            await client.send(frame(0, b"lo", mask=KEY))
            await client.expect_message("hello")
            await client.send(frame(1, b"with no mask"))
            await client.expect_close(1002)
            await client.expect_end()
            print("no mask: 1002")

        # The same with raw bytes, and a length that is false
        async with RawClient(await server.dial()) as client:
            await client.open("rfc6455")
            await client.send(b"\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00")
            await client.expect(b"\x88")
            print("four gigabytes:", await client.receive_rest())

        # A request that is not valid
        async with RawClient(await server.dial()) as client:
            await client.send(
                client.request("rfc6455").replace(b"Upgrade: ", b"Upgrade: h2c, x")
            )
            response = await client.expect_response()
            print("no upgrade:", response.status)

        # What a failing test prints
        async with RawClient(await server.dial()) as client:
            await client.open("old")
            await client.send(b"\x00hello\xff")
            try:
                await client.expect(b"\x00HELLO\xff")
            except AssertionError as error:
                print(error)


trio.run(main)
