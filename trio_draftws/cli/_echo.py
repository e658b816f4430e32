"""`echo`: a server that sends back what it gets."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from trio_draftws import Connection, Server, serve_websocket, use_framing_mode
from trio_draftws.drafts import allowed_drafts, draft_named

from ._signals import ENDING, first_of
from ._stdio import CommandError, LineWriter


async def echo(
    *,
    host: str,
    port: int,
    framing_mode: str,
    drafts: Sequence[str] | None,
    tls: tuple[str, str] | None,
) -> int:
    """Serves until SIGINT or SIGTERM, closes every connection, and returns 0.

    Raises:
        CommandError: it cannot serve like that.
    """
    try:
        draft_named(framing_mode)
        spoken = allowed_drafts(drafts)
    except ValueError as error:
        raise CommandError(str(error)) from error
    serve = partial(
        serve_websocket,
        _send_back,
        port,
        host=host,
        drafts=spoken,
        subprotocols=lambda asked: asked[0],
        ssl_context=_load_certificate(*tls) if tls else None,
    )
    scheme = "wss" if tls else "ws"
    stdout = LineWriter.of_stdout()
    failure: CommandError | None = None
    with (
        use_framing_mode(framing_mode),
        trio.open_signal_receiver(*ENDING) as signals,
    ):
        async with trio.open_nursery() as nursery:
            # Raised outside, where no group is made of it
            try:
                server: Server = await nursery.start(serve)
                await stdout.write_line(f"listening on {scheme}://{_bracketed(host)}:{server.port}")
                await first_of(signals)
                await server.aclose()
            except (OSError, UnicodeError) as error:
                why = getattr(error, "strerror", None) or error
                failure = CommandError(f"cannot listen on {host} port {port}: {why}")
            except CommandError as error:
                failure = error
                nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return 0


async def _send_back(connection: Connection, state: object) -> None:
    try:
        async for message in connection:
            await connection.send(message)
    except trio.BrokenResourceError:
        # Clients come and go, and some do not say goodbye.
        pass


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _load_certificate(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The error of the ssl module does not say which of the two files it is about.
    for path in (certificate, key):
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise CommandError(f"cannot read {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise CommandError(
            f"{certificate} and {key} are no PEM files of a certificate and its key: {error}"
        ) from error
    return context
