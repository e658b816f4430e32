"""What a failed opening handshake suggests: another draft, another scheme, another path."""

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

# Statuses such as 401, 403 and 404 say nothing about the draft.
UNKNOWN_DRAFT = (400, 405, 426, 501, 505)

_HTML = ("text/html", "application/xhtml+xml")
_HTML_BODY = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def means_unknown_draft(error: HandshakeError) -> bool:
    """Returns whether the failure means "I do not know this version".

    Old servers say so by answering in their own draft, or by closing the connection.
    """
    if isinstance(error, Rejected):
        return may_concern_draft(error)
    if isinstance(error, InvalidAnswer):
        return True
    return type(error) is HandshakeError and not _is_tls_failure(error)


def may_concern_draft(answer: Response | Rejected) -> bool:
    """Returns whether an answer that is not 101 may be about the draft."""
    if is_redirect(answer):
        return False
    return answer.status in UNKNOWN_DRAFT or "Sec-WebSocket-Version" in answer.headers


def _is_tls_failure(error: HandshakeError) -> bool:
    """Returns whether TLS failed.

    In TLS 1.3 a server checks the client's certificate after the client has finished the TLS
    handshake (RFC 8446 section 4.4), so a refusal only shows when the answer is read.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    return cause is not None and not isinstance(cause, ssl.SSLEOFError)


def versions_offered(error: HandshakeError) -> set[int]:
    """Returns the versions that a refusal lists (RFC 6455 section 4.4)."""
    if not isinstance(error, Rejected):
        return set()
    named = error.headers.get("Sec-WebSocket-Version", "").split(",")
    return {int(number) for number in named if number.strip().isdecimal()}


def advice_on_web_page(rejected: Rejected) -> str:
    """Returns advice if the answer is a web page, as servers send that ignore the upgrade."""
    if not 200 <= rejected.status < 300:
        return ""
    kind = rejected.headers.get("Content-Type", "").partition(";")[0].strip(" \t").lower()
    # Servers of 2010 did not always send a Content-Type.
    if kind not in _HTML and (kind or not _HTML_BODY.match(rejected.body)):
        return ""
    return "it answers with a web page: is the path right?"


def advice_on_failure(
    error: HandshakeError, asked: Draft, *, secure: bool, tried_several: bool, can_dial: bool
) -> str:
    """Returns advice on the draft or the scheme, if the failure may be about those; else "".

    Args:
        error: why the handshake failed.
        asked: the draft of the attempt.
        secure: whether it was over TLS.
        tried_several: whether other drafts were tried and refused too.
        can_dial: whether the server can be dialled again, as `draft="auto"` needs.
    """
    if not means_unknown_draft(error) or isinstance(error.__cause__, BadHead):
        return ""
    hidden_tls = type(error) is HandshakeError and not secure
    scheme = "where TLS is spoken it takes wss" if hidden_tls else ""
    if tried_several:
        return scheme
    spoken = versions_offered(error) - {asked.version}
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


def advice_on_timeout(asked: Draft) -> str:
    """Returns advice for a server that did not answer: some ignore a draft they do not know."""
    newest = auto_drafts()[0]
    if asked is newest:
        return f'it was asked in {asked.name}: an older server may speak draft="old"'
    return f'it was asked in {asked.name}: servers of today speak draft="{newest.name}"'
