"""What a failed opening says of the server: the drafts that it speaks, or that it is none."""

from __future__ import annotations

import re
import ssl

from trio_draftws._exceptions import Rejected
from trio_draftws.drafts import (
    DRAFTS,
    BadHead,
    Draft,
    HandshakeError,
    InvalidAnswer,
    Response,
    auto_drafts,
)

from .redirects import is_redirect

# Not found, or refused for who is asking, says nothing of the draft.
UNKNOWN_DRAFT = (400, 405, 426, 501, 505)

_HTML = ("text/html", "application/xhtml+xml")
_HTML_BODY = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def is_unknown_draft(error: HandshakeError) -> bool:
    """Whether the answer means "I don't know this version", as old servers put it too: by an
    answer of their own draft, or by ending the connection.
    """
    if isinstance(error, Rejected):
        return may_be_of_draft(error)
    if isinstance(error, InvalidAnswer):
        return True
    return type(error) is HandshakeError and not _is_of_tls(error)


def may_be_of_draft(answer: Response | Rejected) -> bool:
    """Whether such a refusal may be about the draft."""
    if is_redirect(answer):
        return False
    return answer.status in UNKNOWN_DRAFT or "Sec-WebSocket-Version" in answer.headers


def _is_of_tls(error: HandshakeError) -> bool:
    """Whether TLS broke it off. In TLS 1.3 a client's certificate is refused behind its own
    handshake (RFC 8446 section 4.4), so that shows when the answer is read.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    return cause is not None and not isinstance(cause, ssl.SSLEOFError)


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


def advice_on(
    error: HandshakeError, asked: Draft, *, secure: bool, tried_all: bool, can_dial: bool
) -> str:
    """What to write in place of what was written, where the failure may be about that.

    `tried_all` says that other drafts were refused too; `can_dial` that there is more than one
    stream to the server, as `draft="auto"` needs.
    """
    if not is_unknown_draft(error) or isinstance(error.__cause__, BadHead):
        return ""
    hidden_tls = type(error) is HandshakeError and not secure
    scheme = "where TLS is spoken it takes wss" if hidden_tls else ""
    if tried_all:
        return scheme
    spoken = versions_spoken(error) - {asked.version}
    named = [f'draft="{draft.name}"' for draft in reversed(DRAFTS) if draft.version in spoken]
    newest = auto_drafts()[0]
    if named:
        advice = f"the server speaks {' or '.join(named)}"
    elif asked is not newest:
        advice = f'servers of today speak draft="{newest.name}"'
        if can_dial:
            advice += '; draft="auto" finds out'
    elif can_dial:
        advice = 'draft="auto" tries the older ones too'
    else:
        advice = 'an older server may speak draft="old"'
    if scheme:
        advice += f"; {scheme}"
    return f"it was asked in {asked.name}: {advice}"


def advice_on_silence(asked: Draft) -> str:
    """What to write where a server did not answer in time: some leave what they do not know
    unanswered.
    """
    newest = auto_drafts()[0]
    if asked is newest:
        return f'it was asked in {asked.name}: an older server may speak draft="old"'
    return f'it was asked in {asked.name}: servers of today speak draft="{newest.name}"'
