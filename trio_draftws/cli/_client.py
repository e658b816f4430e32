"""What the commands that open connections have in common: what to ask for, and TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import trio

from trio_draftws import Connection, Draft, StreamFactory, open_websocket, ssl_stream_factory
from trio_draftws.drafts import WebSocketURL

from ._stdio import CommandError


@attrs.frozen(kw_only=True)
class Target:
    """A server, and what to ask it for beside the draft."""

    url: str
    headers: Sequence[tuple[bytes, bytes]]
    origin: str | None
    subprotocols: Sequence[str]
    cafile: str | None
    insecure: bool

    @classmethod
    def options(cls) -> list[str]:
        """The names of what it is made from."""
        return [field.name for field in attrs.fields(cls)]

    def open(
        self,
        draft: str | Draft,
        watch: Callable[[trio.abc.Stream], trio.abc.Stream] | None = None,
        **settings: Any,
    ) -> AbstractAsyncContextManager[Connection]:
        """A connection to it, as `open_websocket` makes one.

        Args:
            draft: the draft to speak.
            watch: is given the stream to speak on, with TLS where it has that, and gives the one
                to take in its place.
            settings: further ones of `open_websocket`.

        Raises:
            CommandError: the file of certificates cannot be read.
            ValueError: the URL is none.
        """
        context = self._context()
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

    def _context(self) -> ssl.SSLContext | None:
        """The settings of TLS; None where there is none."""
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
