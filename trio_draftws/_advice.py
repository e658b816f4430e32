"""What a failed opening says of the server: the drafts that it speaks, or that it is none."""

from __future__ import annotations

import re

from ._exceptions import Rejected
from .drafts import DRAFTS, BadHead, Draft, HandshakeError, InvalidAnswer, ladder

# Not found, or refused for who is asking, says nothing of the draft.
UNKNOWN_DRAFT = (400, 405, 426, 501, 505)

_HTML = ("text/html", "application/xhtml+xml")
_HTML_BODY = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def is_unknown_draft(error: HandshakeError) -> bool:
    """Whether the answer means "I don't know this version", as old servers put it too: by an
    answer of their own draft, or by ending the connection.
    """
    if isinstance(error, Rejected):
        return error.status in UNKNOWN_DRAFT or "Sec-WebSocket-Version" in error.headers
    return isinstance(error, InvalidAnswer) or type(error) is HandshakeError


def versions_spoken(error: HandshakeError) -> set[int]:
    """The versions that a refusal names (RFC 6455 section 4.4)."""
    if not isinstance(error, Rejected):
        return set()
    named = error.headers.get("Sec-WebSocket-Version", "").split(",")
    return {int(number) for number in named if number.strip().isdecimal()}


def advice_on_page(rejected: Rejected) -> str:
    """What to look at where the answer is a page, as from a server that ignores the upgrade."""
    if not 200 <= rejected.status < 300:
        return ""
    kind = rejected.headers.get("Content-Type", "").partition(";")[0].strip(" \t").lower()
    # Servers of the time did not always say what it is.
    if kind not in _HTML and (kind or not _HTML_BODY.match(rejected.body)):
        return ""
    return "it answers with a web page: is the path right?"


def advice_on(error: HandshakeError, asked: Draft, *, secure: bool) -> str:
    """What to write in place of what was written, where the failure may be about that."""
    if not is_unknown_draft(error) or isinstance(error.__cause__, BadHead):
        return ""
    spoken = versions_spoken(error) - {asked.version}
    named = [f'draft="{draft.name}"' for draft in reversed(DRAFTS) if draft.version in spoken]
    newest = ladder()[0]
    if named:
        advice = f"the server speaks {' or '.join(named)}"
    elif asked is newest:
        advice = 'draft="auto" tries the older ones too'
    else:
        advice = f'servers of today speak draft="{newest.name}"; draft="auto" finds out'
    if type(error) is HandshakeError and not secure:
        advice += "; where TLS is spoken it takes wss"
    return f"it was asked in {asked.name}: {advice}"
