"""What the commands that run a server share: their options, and how they serve."""

from __future__ import annotations

import argparse
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


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that are arguments of `serve`."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address or name to listen on (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8080,
        help="the port to listen on; 0 picks a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--framing-mode",
        metavar="NAME",
        default="old",
        help="the draft to speak with clients whose request does not say (default: %(default)s)",
    )
    parser.add_argument(
        "--drafts",
        metavar="NAME,NAME",
        type=lambda text: text.split(","),
        help="speak only these drafts (default: all)",
    )
    parser.add_argument(
        "--tls",
        nargs=2,
        metavar=("CERT", "KEY"),
        help="serve wss, with the certificate chain and the key in these PEM files",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


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
    """Prints where it listens, serves until SIGINT or SIGTERM, and closes every connection.

    Args:
        handler: as for `serve_websocket`.
        host: the address or name to listen on.
        port: the port to listen on; 0 picks one.
        framing_mode: the draft to speak if the request does not say.
        drafts: the names of the drafts to speak; None for all.
        tls: the paths of the certificate and its key; None for ws.
        settings: further arguments for `serve_websocket`.

    Raises:
        CommandError: it cannot listen, or an argument is invalid.
    """
    try:
        draft_named(framing_mode)
        allowed = allowed_drafts(drafts)
    except ValueError as error:
        raise CommandError(str(error)) from error
    listen = partial(
        serve_websocket,
        handler,
        port,
        host=host,
        drafts=allowed,
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
            # Raised outside the nursery, so that no ExceptionGroup is made of it
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
