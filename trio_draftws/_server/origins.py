"""Which pages may connect, by their Origin field (RFC 6455 section 10.2).

A browser lets any page connect to any server, and sends the user's cookies for that server. Only
the Origin field says where the page comes from, and only the server can check it.
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
"""Returns whether the page that a request comes from may connect; it may raise `Reject`."""

# RFC 6454 section 4
DEFAULT_PORTS = {"http": 80, "https": 443}
# Longer origins are not cached.
MAX_CACHED_LENGTH = 256

# RFC 6454 section 6.2; "null" is the origin of what has no other, and Chrome sends file://
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#*@\\]+|file://|null", re.IGNORECASE)

logger = logging.getLogger("trio_draftws")


def same_host(request: Request) -> bool:
    """Returns whether the page has the host and port that the request names; for `origins=`.

    Such a page was served by this server, or by another one under the same name. A client that
    sends no origin is not a browser, and may connect.

    Over TLS only `https` pages may connect: anybody on the way may have changed an `http` page. A
    request came over TLS if ours was used (`Request.secure`), or if a proxy in front of this server
    says so (`X-Forwarded-Proto`). Otherwise a proxy may have used TLS without saying so, and both
    `http` and `https` pages may connect.

    It relies on the Host field. A page whose own name resolves to this server's address (DNS
    rebinding) has the same host. So a server that trusts everybody who can reach it, for example in
    a private network, should list the origins instead.
    """
    origin = request.origin
    if origin is None:
        return True
    page = _parsed(origin)
    # Any other origin, as "null" or a browser extension's, has no host
    if page is None or page[0] not in DEFAULT_PORTS:
        return False
    if page[0] == "http" and _is_over_tls(request):
        return False
    # The scheme is known to be right, so both have the same default port.
    return page == _parsed(f"{page[0]}://{request.host or ''}")


def _is_over_tls(request: Request) -> bool:
    # No page can make a browser send the field; other clients could send any origin anyway.
    outermost = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return request.secure or outermost in ("https", "wss")


def _parsed(origin: str) -> tuple[str, str, int | None] | None:
    """Returns scheme, host and port of an origin (RFC 6454 section 4); None if it has none."""
    # A few pages open most connections, so a small cache helps.
    return _parse_cached(origin) if len(origin) <= MAX_CACHED_LENGTH else _parse(origin)


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


_parse_cached = lru_cache(maxsize=64)(_parse)


def _comparable(origin: str | None) -> object:
    """Returns a value that is equal for all spellings of the same origin."""
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
    """The `origins` setting of a server, and whether it has warned about cookies."""

    _allowed: frozenset[object] | OriginPolicy | None
    _has_warned: bool = False

    @classmethod
    def of(cls, origins: Iterable[str | None] | OriginPolicy | None) -> OriginCheck:
        """Makes it from the setting.

        Raises:
            TypeError: it is a single str instead of several, or of another wrong type.
            ValueError: one of them is not an origin, so no page could have it.
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
        """Whether every origin may connect."""
        return self._allowed is None

    def check(self, request: Request) -> None:
        """Checks that the page a request comes from may connect.

        Raises:
            Reject: it may not; 403.
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
        """Called for a request with cookies: warns once if `origins` was not set."""
        if self._allowed is None and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "a request with cookies came, and pages of any origin may connect; a server that "
                "trusts cookies has to say which may: origins=[...], or origins=same_host (or, "
                "where they mean nothing to it, origins=lambda request: True)"
            )
