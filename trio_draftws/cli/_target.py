"""What the commands that run a client share: their options, and how they open a connection."""

from __future__ import annotations

import argparse
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import trio

from trio_draftws import Connection, Draft, StreamFactory, open_websocket, ssl_stream_factory
from trio_draftws.drafts import WebSocketURL

from ._stdio import CommandError


@attrs.frozen(kw_only=True)
class Target:
    """A server, and what to ask it for: everything but the draft."""

    url: str
    headers: Sequence[tuple[bytes, bytes]]
    origin: str | None
    subprotocols: Sequence[str]
    cafile: str | None
    insecure: bool

    def open(
        self,
        draft: str | Draft,
        watch: Callable[[trio.abc.Stream], trio.abc.Stream] | None = None,
        **settings: Any,
    ) -> AbstractAsyncContextManager[Connection]:
        """Opens a connection to it by `open_websocket`, whose context manager it returns.

        Args:
            draft: the draft to speak.
            watch: called with each stream to speak on, TLS included; returns the stream to use
                instead.
            settings: further arguments for `open_websocket`.

        Raises:
            CommandError: the certificates cannot be read.
            ValueError: the URL is invalid.
        """
        context = self._ssl_context()
        if watch is None:
            settings["ssl_context"] = context
        else:
            settings["stream_factory"] = self._watched(watch, context)
        return open_websocket(
            self.url,
            draft=draft,
            headers=self.headers,
            origin=self.origin,
            subprotocols=self.subprotocols,
            **settings,
        )

    def _ssl_context(self) -> ssl.SSLContext | None:
        """Returns the TLS settings, or None for ws."""
        if not WebSocketURL.parse(self.url).secure:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
        except OSError as error:
            why = error.strerror or error
            raise CommandError(f"cannot read certificates from {self.cafile}: {why}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _watched(
        self,
        watch: Callable[[trio.abc.Stream], trio.abc.Stream],
        context: ssl.SSLContext | None,
    ) -> StreamFactory:
        host = WebSocketURL.parse(self.url).host
        tls = None if context is None else ssl_stream_factory(context, server_hostname=host)

        async def factory(stream: trio.abc.Stream) -> trio.abc.Stream:
            return watch(stream if tls is None else await tls(stream))

        return factory


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that are the fields of `Target`."""
    parser.add_argument("url", metavar="URL", help="ws://HOST[:PORT][/PATH] or wss://...")
    parser.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        type=_header_field,
        help="an additional header field for the request; may be given several times",
    )
    parser.add_argument("--origin", help="the origin to send in the request")
    parser.add_argument(
        "--subprotocol",
        metavar="NAME",
        dest="subprotocols",
        action="append",
        default=[],
        help="a subprotocol to ask for; may be given several times, the preferred one first",
    )
    parser.add_argument(
        "--cafile",
        metavar="FILE",
        help="for wss: trust the certificates in this PEM file instead of the system's",
    )
    parser.add_argument("--insecure", action="store_true", help="for wss: trust any certificate")


def with_target(run: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    """Returns a function that calls `run` with a `Target` in place of its parsed options."""

    async def run_with_target(**options: Any) -> int:
        names = [field.name for field in attrs.fields(Target)]
        target = Target(**{name: options.pop(name) for name in names})
        return await run(target=target, **options)

    return run_with_target


def _header_field(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"expected 'Name: value', got {text!r}")
    # `fsencode` restores the bytes that were typed.
    return os.fsencode(name), os.fsencode(value.strip(" \t"))
