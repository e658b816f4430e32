r"""Where a server sends its client, and what the client takes along.

1. From wss nobody goes to ws, and nobody where there is no WebSocket.
2. Where the origin changes (scheme, host or port), what names the user stays behind:
   `Authorization`, `Cookie` and `Proxy-Authorization`; also if a later redirect leads back.
3. A user or a password in the server's `Location` is not the caller's, and is not used.
4. A `Location` with a character that no URL may hold is not followed: for one reader
   `/\b.example/` is a path, for another a host.
"""

from __future__ import annotations

from urllib.parse import urldefrag, urljoin

import attrs

from trio_draftws._exceptions import RedirectRefused, Rejected
from trio_draftws.drafts import (
    NOT_IN_URL,
    HandshakeRequest,
    Headers,
    Response,
    WebSocketURL,
    escaped,
)

# RFC 9110 section 15.4; 300 offers a choice, which is the user's.
STATUSES = (301, 302, 303, 307, 308)
NAMING_THE_USER = ("authorization", "cookie", "proxy-authorization")
_WEBSOCKET = {"http": "ws", "https": "wss"}
_PAGE = {"ws": "http", "wss": "https"}


def is_redirect(answer: Response | Rejected) -> bool:
    """Whether the answer sends its client elsewhere."""
    return answer.status in STATUSES and "Location" in answer.headers


def redirected(
    rejected: Rejected, wish: HandshakeRequest, seen: set[str], most: int
) -> HandshakeRequest:
    """What to ask for at the place that a redirect names. `seen` has those where it was asked for
    before, at most `most` and the first, and gets the new one.

    Raises:
        RedirectRefused: it does not lead where a client may go.
    """
    seen.add(wish.url.location)
    if len(seen) > most:
        raise _refused(rejected, f"there were {most} before it (max_redirects)")
    try:
        url = _join(wish.url, _location_of(rejected))
    except ValueError as error:
        raise _refused(rejected, escaped(str(error))) from None
    place = f"{'wss' if url.secure else 'ws'}://{url.host_field}"
    if wish.url.secure and not url.secure:
        raise _refused(rejected, f"it leads from wss to ws, which anybody can read: {place}")
    if url.location in seen:
        raise _refused(rejected, f"it leads in a circle, back to {place}")
    headers = wish.headers
    if url.origin != wish.url.origin:
        headers = Headers(
            field for field in headers.raw if field[0].decode().lower() not in NAMING_THE_USER
        )
    return attrs.evolve(wish, url=url, headers=headers)


def _refused(rejected: Rejected, reason: str) -> RedirectRefused:
    return RedirectRefused(rejected.status, rejected.headers, rejected.body, reason)


def _location_of(rejected: Rejected) -> str:
    locations = rejected.headers.get_all("Location")
    if len(locations) != 1:
        raise ValueError("it names several places")
    if bad := NOT_IN_URL.search(locations[0]):
        raise ValueError(f"its Location holds {bad[0]!r}, which no URL may hold")
    # It should be ASCII. Where it is not, it is what browsers take it for.
    return locations[0].encode("latin-1").decode("utf-8", "replace")


def _join(base: WebSocketURL, location: str) -> WebSocketURL:
    """The place that `location` names, seen from `base` (RFC 3986 section 5).

    Raises:
        ValueError: it is no place for a WebSocket.
    """
    # As URLs of pages, since Python joins those for sure.
    at = base.page_origin + base.resource
    joined = urldefrag(urljoin(at, _with_scheme(location, _PAGE))).url
    return WebSocketURL.parse(_with_scheme(joined, _WEBSOCKET))


def _with_scheme(url: str, schemes: dict[str, str]) -> str:
    scheme, colon, rest = url.partition(":")
    return schemes.get(scheme.lower(), scheme) + colon + rest
