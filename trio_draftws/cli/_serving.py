"""What the commands that serve have in common."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from trio_draftws import Handler, Server, serve_websocket, use_framing_mode
from trio_draftws.drafts import allowed_drafts, draft_named

from ._signals import ENDING, first_of
from ._stdio import CommandError, LineWriter


async def serve(
    handler: Handler,
    *,
    host: str,
    port: int,
    framing_mode: str,
    drafts: Sequence[str] | None,
    tls: tuple[str, str] | None,
    **settings: Any,
) -> None:
    """Serves until SIGINT or SIGTERM, and closes every connection; says where it listens.

    Args:
        handler: as for `serve_websocket`.
        settings: its further arguments.

    Raises:
        CommandError: it cannot serve like that.
    """
    try:
        draft_named(framing_mode)
        spoken = allowed_drafts(drafts)
    except ValueError as error:
        raise CommandError(str(error)) from error
    listen = partial(
        serve_websocket,
        handler,
        port,
        host=host,
        drafts=spoken,
        ssl_context=_load_certificate(*tls) if tls else None,
        **settings,
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
                server: Server = await nursery.start(listen)
                await stdout.write_line(f"listening on {scheme}://{_bracketed(host)}:{server.port}")
                await first_of(signals)
                await server.aclose()
            except OSError as error:
                failure = CommandError(error.strerror or str(error))
            except ValueError as error:
                failure = CommandError(f"cannot listen on {host} port {port}: {error}")
            except CommandError as error:
                failure = error
                nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


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
