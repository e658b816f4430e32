"""Opening requests as today's clients send them, read without parsing all of the head.

Today's browsers and libraries send much the same head: the fields of the newest draft, and others
that do not matter for an opening. `scan_opening` reads what such a head asks for. It returns None
for anything unusual, wrong or incomplete, which is left to the parser and to `identify`. It is
written twice: here, in terms of those two, and in C (`speedups.c`), which is used if it was built,
unless the environment has TRIO_DRAFTWS_PURE_PYTHON=1.
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
"""The size of the head in bytes; the key; the fields Sec-WebSocket-Protocol and
Sec-WebSocket-Extensions, or None; and whether there is a Cookie field."""

[TODAY] = (draft for draft in DRAFTS if draft.version == 13)
"""The draft of the requests that `scan_opening` reads; in C its version stands as a text."""


def scan_opening_in_python(data: bytes, /) -> Scanned | None:
    """Reads the request that `data` begins with; None if it is not a usual one."""
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
    """Whether a request is written the way today's clients write theirs, whatever it asks for."""
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
    """Returns `TODAY` if it is the only one of `drafts` that the scanned request can speak."""
    alike = [draft for draft in drafts if set(draft.announced_by) & set(TODAY.announced_by)]
    return TODAY if alike == [TODAY] else None


def begin_answer(scanned: Scanned) -> ServerOpening:
    """Like `OpeningFamily.answer`, for what `scan_opening` returned."""
    _, key, _, offers, _ = scanned
    return HybiServer(key, None, () if offers is None else (offers,))
