"""The opening request of today's clients, found in what was read without parsing all of it.

Browsers and libraries of today send much the same head: the fields of the newest draft, and others
that say nothing to an opening. `scan_opening` finds what such a head asks for. Whatever is unusual,
wrong, or not all there yet is None, and left to the parser and to `identify`. It is written twice:
here, on those two, and in C (`speedups.c`), which is taken where it was built, unless the
environment has TRIO_DRAFTWS_PURE_PYTHON=1.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TypeAlias

from ._handshake.base import ServerOpening
from ._handshake.errors import Reject
from ._handshake.extensions import EXTENSIONS_FIELD
from ._handshake.hybi import KEY_FIELD, PROTOCOL_FIELD, HybiServer
from ._http.head import BadHead
from ._identify import identify
from ._registry import DRAFTS, Draft
from ._request import Request

Scanned: TypeAlias = "tuple[int, str, str | None, str | None, bool]"
"""How many bytes the head has; the key; what the fields of subprotocols and of extensions say, None
where there is none; and whether cookies came."""

TODAY = DRAFTS[-1]
"""The draft of the requests that `scan_opening` finds."""


def scan_opening_in_python(data: bytes, /) -> Scanned | None:
    """What the request that `data` begins with asks for; None where it is not a usual one."""
    size = data.find(b"\r\n\r\n") + 4
    if size < 4:
        return None
    try:
        request = Request.parse(data[:size])
        if not _is_usual(request):
            return None
        identify(request, lambda _: TODAY, (TODAY,))
        TODAY.opening.answer(request)
    except (BadHead, Reject):
        return None
    headers = request.headers
    protocols, offers = headers.get(PROTOCOL_FIELD), headers.get(EXTENSIONS_FIELD)
    return size, headers[KEY_FIELD], protocols, offers, "Cookie" in headers


def _is_usual(request: Request) -> bool:
    """Whether a request is written as those of today are, whatever it says."""
    line, headers = request.line, request.headers
    return (
        line.startswith(b"GET /")
        and line.endswith(b" HTTP/1.1")
        and line.count(b" ") == 2
        and headers.get("Upgrade", "").lower() == "websocket"
        and all(
            len(headers.get_raw(name)) <= 1
            for name in ("Connection", PROTOCOL_FIELD, EXTENSIONS_FIELD)
        )
        and "Content-Length" not in headers
        and "Transfer-Encoding" not in headers
    )


scan_opening = scan_opening_in_python
if os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") != "1":  # pragma: no branch
    try:
        from ._http.speedups import scan_opening as scan_opening
    except ImportError:  # pragma: no cover
        pass  # not built


def spoken_today(drafts: Collection[Draft]) -> Draft | None:
    """The draft of what `scan_opening` finds, if it is one of `drafts` and no other might be."""
    alike = [draft for draft in drafts if set(draft.announced_by) & set(TODAY.announced_by)]
    return TODAY if alike == [TODAY] else None


def begin_answer(scanned: Scanned) -> ServerOpening:
    """As `OpeningFamily.answer`, for what was found."""
    _, key, _, offers, _ = scanned
    return HybiServer(key, None, () if offers is None else (offers,))
