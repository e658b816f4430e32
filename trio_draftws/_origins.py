"""Which pages may connect (RFC 6455 section 10.2).

A browser lets any page connect to any server, and sends the cookies that the visitor has there.
Only the Origin field tells whose page it is, and only the server can act on that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs

from .drafts import Reject, Request

OriginPolicy: TypeAlias = Callable[[Request], bool]
"""Whether the page that a request comes from may connect; it may raise `Reject`."""

DEFAULT_PORTS = {"http": "80", "https": "443"}

logger = logging.getLogger("trio_draftws")


def same_host(request: Request) -> bool:
    """Whether a request comes from a page of the host and port that it asks: an `origins=`.

    So one that this server served, or whatever else answers under its name. A client that names no
    origin is no browser, and may connect.

    It believes the Host field. A page whose own name leads to this server's address (DNS rebinding)
    is of the same host, so a server that trusts those who can reach it, in a network of its own
    perhaps, should name the origins in place of this.
    """
    if request.origin is None:
        return True
    scheme, _, page = request.origin.lower().partition("://")
    # Other origins are no page's address: "null", or an extension's
    default = DEFAULT_PORTS.get(scheme)
    if default is None or not request.host:
        return False
    return _with_port(page, default) == _with_port(request.host.lower(), default)


def _with_port(authority: str, default: str) -> tuple[str, str]:
    # An IPv6 address ends in its bracket.
    host, _, port = authority.rpartition(":")
    return (host, port) if port.isdigit() else (authority, default)


@attrs.define(eq=False)
class OriginCheck:
    """What a server thinks of origins."""

    _allowed: frozenset[str | None] | OriginPolicy | None
    _has_warned: bool = False

    @classmethod
    def of(cls, origins: Iterable[str | None] | OriginPolicy | None) -> OriginCheck:
        """From what the caller said.

        Raises:
            TypeError: it is one str, where several origins were meant.
        """
        if isinstance(origins, str):
            raise TypeError(f"origins is a list of origins, not one str; write [{origins!r}]")
        if origins is None or callable(origins):
            return cls(origins)
        return cls(frozenset(origin and origin.lower() for origin in origins))

    def check(self, request: Request) -> None:
        """Refuses pages that may not connect.

        Raises:
            Reject: 403.
        """
        if self._allowed is None:
            return
        if callable(self._allowed):
            may = self._allowed(request)
        else:
            may = (request.origin and request.origin.lower()) in self._allowed
        if not may:
            origin = request.origin
            named = "clients without an Origin" if origin is None else f"pages of {origin}"
            raise Reject(403, body=f"This server is not for {named}.\n")

    def warn_of_cookies(self, request: Request) -> None:
        """Says once that a server which nobody told about origins is sent cookies."""
        if self._allowed is None and not self._has_warned and "Cookie" in request.headers:
            self._has_warned = True
            logger.warning(
                "a request with cookies came, and pages of any origin may connect; a server that "
                "trusts cookies has to say which may: origins=[...], or origins=same_host (or, "
                "where they mean nothing to it, origins=lambda request: True)"
            )
