"""Which pages may connect (RFC 6455 section 10.2).

A browser lets any page connect to any server, and sends the cookies that the visitor has there.
Only the Origin field tells whose page it is, and only the server can act on that.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeAlias

import attrs

from trio_draftws._settings.checks import check_function, check_sync_result, tuple_of
from trio_draftws.drafts import Reject, Request, split_authority

OriginPolicy: TypeAlias = Callable[[Request], bool]
"""Whether the page that a request comes from may connect; it may raise `Reject`."""

# RFC 6454 section 4
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_REMEMBERED = 256

# RFC 6454 section 6.2; "null" stands for what has no other, and Chrome names files so
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#*@\\]+|file://|null", re.IGNORECASE)

logger = logging.getLogger("trio_draftws")


def same_host(request: Request) -> bool:
    """Whether a request comes from a page of the host and port that it asks: an `origins=`.

    So one that this server served, or whatever else answers under its name. A client that names no
    origin is no browser, and may connect.

    Over TLS only pages of `https` come in: others anybody on the way may have changed. It is TLS of
    our own (`Request.secure`), or of a proxy in front of this server that says so
    (`X-Forwarded-Proto`). Where neither is there, a proxy may have said nothing, so pages of `http`
    and of `https` come in.

    It believes the Host field. A page whose own name leads to this server's address (DNS rebinding)
    is of the same host, so a server that trusts those who can reach it, in a network of its own
    perhaps, should name the origins in place of this.
    """
    origin = request.origin
    if origin is None:
        return True
    page = _parsed(origin)
    # Other origins are no page's address: "null", or an extension's
    if page is None or page[0] not in DEFAULT_PORTS:
        return False
    if page[0] == "http" and _is_over_tls(request):
        return False
    # The schemes fit, so the port that goes without saying is the same for both.
    return page == _parsed(f"{page[0]}://{request.host or ''}")


def _is_over_tls(request: Request) -> bool:
    # No page can make a browser send the field, and a client that is none can say what it likes.
    outermost = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return request.secure or outermost in ("https", "wss")


def _parsed(origin: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an origin (RFC 6454 section 4); None where it has no such parts."""
    # Few pages open most connections. Longer ones are not worth the memory.
    return _remembered(origin) if len(origin) <= LONGEST_REMEMBERED else _parse(origin)


def _parse(origin: str) -> tuple[str, str, int | None] | None:
    scheme, separator, authority = origin.partition("://")
    scheme = scheme.lower()
    if not separator:
        return None
    try:
        host, port = split_authority(authority)
    except ValueError:
        return None
    return scheme, host, port or DEFAULT_PORTS.get(scheme)


_remembered = lru_cache(maxsize=64)(_parse)


def _comparable(origin: str | None) -> object:
    """What two origins have in common that are the same, however each is written."""
    return None if origin is None else _parsed(origin) or origin.lower()


def _check_origin(origin: str | None) -> None:
    if origin is None or _ORIGIN.fullmatch(origin):
        return
    meant = [repr(it) for it in (f"https://{origin}", origin.rstrip("/")) if _ORIGIN.fullmatch(it)]
    raise ValueError(
        f"origins has {origin!r}, which no page has: an origin is a scheme, a host and perhaps a "
        "port, as 'https://example.com:8443', with no path and no wildcard"
        + (f"; write {meant[0]}" if meant else "")
    )


@attrs.define(eq=False)
class OriginCheck:
    """What a server thinks of origins."""

    _allowed: frozenset[object] | OriginPolicy | None
    _has_warned: bool = False

    @classmethod
    def of(cls, origins: Iterable[str | None] | OriginPolicy | None) -> OriginCheck:
        """From what the caller said.

        Raises:
            TypeError: it is one str, where several origins were meant, or nothing of its kind.
            ValueError: one of them is no origin, so that no page would have it.
        """
        if origins is None:
            return cls(None)
        if callable(origins):
            check_function("origins", origins, "request")
            return cls(origins)
        listed = tuple_of("origins", origins, "origins", str, type(None))
        for origin in listed:
            _check_origin(origin)
        return cls(frozenset(map(_comparable, listed)))

    @property
    def allows_all(self) -> bool:
        """Whether every request passes, whatever it says."""
        return self._allowed is None

    def check(self, request: Request) -> None:
        """Refuses pages that may not connect.

        Raises:
            Reject: 403.
        """
        if self._allowed is None:
            return
        if callable(self._allowed):
            may = check_sync_result("origins", self._allowed(request))
        else:
            may = _comparable(request.origin) in self._allowed
        if not may:
            origin = request.origin
            named = "clients without an Origin" if origin is None else f"pages of {origin}"
            raise Reject(403, body=f"This server is not for {named}.\n")

    def warn_of_cookies(self) -> None:
        """Cookies came: says once that nobody told the server about origins, if that is so."""
        if self._allowed is None and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "a request with cookies came, and pages of any origin may connect; a server that "
                "trusts cookies has to say which may: origins=[...], or origins=same_host (or, "
                "where they mean nothing to it, origins=lambda request: True)"
            )
