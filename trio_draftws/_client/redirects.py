r"""Redirects: where a client follows them, and which header fields it then sends.

1. No redirect leads from wss to ws, or to anything that is not a WebSocket URL.
2. If the origin changes (scheme, host or port), the credentials are dropped: `Authorization`,
   `Cookie` and `Proxy-Authorization`. They stay dropped if a later redirect leads back.
3. A user and password in the server's `Location` are ignored.
4. A `Location` with a character that no URL may contain is not followed: some parsers take
   `/\b.example/` for a path, others for a host.
"""

from __future__ import annotations

from urllib.parse import urldefrag, urljoin

import attrs

from trio_draftws._exceptions import RedirectRefused, Rejected
from trio_draftws.drafts import (
    NOT_IN_URL,
    REDIRECT_STATUSES,
    HandshakeRequest,
    Headers,
    Response,
    WebSocketURL,
    escaped,
)

CREDENTIAL_FIELDS = ("authorization", "cookie", "proxy-authorization")
_TO_WEBSOCKET = {"http": "ws", "https": "wss"}
_TO_HTTP = {"ws": "http", "wss": "https"}


def is_redirect(answer: Response | Rejected) -> bool:
    """Returns whether the answer is a redirect."""
    return answer.status in REDIRECT_STATUSES and "Location" in answer.headers


def redirected_request(
    rejected: Rejected, request: HandshakeRequest, seen: set[str], max_redirects: int
) -> HandshakeRequest:
    """Returns the request to send to the location that a redirect names.

    Args:
        rejected: the redirect.
        request: what was asked for.
        seen: the locations that were asked before; that of `request` is added.
        max_redirects: how many redirects may be followed.

    Raises:
        RedirectRefused: the redirect must not be followed.
    """
    seen.add(request.url.location)
    if len(seen) > max_redirects:
        raise _refused(rejected, f"there were {max_redirects} before it (max_redirects)")
    try:
        url = _resolve(request.url, _location_of(rejected))
    except ValueError as error:
        raise _refused(rejected, escaped(str(error))) from None
    place = f"{'wss' if url.secure else 'ws'}://{url.host_field}"
    if request.url.secure and not url.secure:
        raise _refused(rejected, f"it leads from wss to ws, which anybody can read: {place}")
    if url.location in seen:
        raise _refused(rejected, f"it leads in a circle, back to {place}")
    headers = request.headers
    if url.origin != request.url.origin:
        headers = Headers(
            field for field in headers.raw if field[0].decode().lower() not in CREDENTIAL_FIELDS
        )
    return attrs.evolve(request, url=url, headers=headers)


def _refused(rejected: Rejected, reason: str) -> RedirectRefused:
    return RedirectRefused(rejected.status, rejected.headers, rejected.body, reason)


def _location_of(rejected: Rejected) -> str:
    locations = rejected.headers.get_all("Location")
    if len(locations) != 1:
        raise ValueError("it names several places")
    if bad := NOT_IN_URL.search(locations[0]):
        raise ValueError(f"its Location holds {bad[0]!r}, which no URL may hold")
    # It should be ASCII. If it is not, it is decoded as browsers do.
    return locations[0].encode("latin-1").decode("utf-8", "replace")


def _resolve(base: WebSocketURL, location: str) -> WebSocketURL:
    """Resolves `location` relative to `base` (RFC 3986 section 5).

    Raises:
        ValueError: the result is no WebSocket URL.
    """
    # With the schemes http and https, which `urljoin` is certain to know
    base_url = base.page_origin + base.resource
    joined = urldefrag(urljoin(base_url, _with_scheme(location, _TO_HTTP))).url
    return WebSocketURL.parse(_with_scheme(joined, _TO_WEBSOCKET))


def _with_scheme(url: str, schemes: dict[str, str]) -> str:
    scheme, colon, rest = url.partition(":")
    return schemes.get(scheme.lower(), scheme) + colon + rest
