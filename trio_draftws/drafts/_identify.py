"""Which draft a request speaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from ._handshake.errors import Reject
from ._registry import Draft, draft_named
from ._request import Request

# RFC 6455 section 4.1: a whole number without leading zeros
_VERSION = re.compile("0|[1-9][0-9]{0,8}")
# RFC 9112 section 3.2: a space ends it, and what is not ASCII is escaped
_TARGET = re.compile(rb"[\x21-\x7e]+")
# RFC 9112 section 3.2.2; RFC 6455 section 4.2.1 has the schemes of HTTP; some clients send ws
_URL = re.compile(rb"(?:https?|wss?)://(?:[^/?]|$)", re.IGNORECASE)
# RFC 9110 section 4.2: a host and perhaps a port, with no user before it. RFC 3986 section 3.2.2
# also has commas; here they would be between several hosts.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~%!$&'()*+;=-]+)(?::[0-9]{0,5})?")


def announcement(request: Request) -> str | None:
    """Returns how a request announces its draft; None if it is not a WebSocket request.

    Raises:
        Reject: the request contradicts itself.
    """
    headers = request.headers
    if "Sec-WebSocket-Version" in headers:
        # RFC 6455 section 11.3.5: no request has it twice
        versions = headers.get_all("Sec-WebSocket-Version")
        if len(versions) > 1 or not _VERSION.fullmatch(versions[0]):
            raise Reject(400, body="Expected one number in Sec-WebSocket-Version.\n")
        return f"version {versions[0]}"
    keys = [name in headers for name in ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")]
    if all(keys):
        if "Sec-WebSocket-Draft" not in headers:
            return "keys"
        number = headers["Sec-WebSocket-Draft"]
        if not _is_number(number):
            raise Reject(400, body="Expected one number in Sec-WebSocket-Draft.\n")
        # hybi-02 and -03 were announced as 2 or 3, by some as 1
        return "draft 1+" if int(number) else "draft 0"
    if any(keys):
        raise Reject(
            400, body="Sec-WebSocket-Key1 and -Key2 belong together; only one of them came.\n"
        )
    if "Sec-WebSocket-Key" in headers:
        return None
    upgrade = headers.has_token("Upgrade", "websocket") and headers.has_token(
        "Connection", "upgrade"
    )
    return "upgrade" if upgrade else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def identify(
    request: Request, mode: Callable[[Request], str | Draft], drafts: tuple[Draft, ...]
) -> Draft:
    """Returns the one of `drafts` that a request speaks.

    If the requests of several drafts look the same, `mode` chooses. If it names none of those
    drafts, the first of them is returned.

    Raises:
        Reject: 426 if the request speaks none of `drafts`, or is not a WebSocket request; 405 if
            its method is not GET; 400 if it contradicts itself, announces a body that no draft
            has, or, from hybi-04 on, breaks today's rules of HTTP/1.1.
        ValueError: `mode` names no draft.
    """
    announced = announcement(request)
    candidates = [draft for draft in drafts if announced in draft.announced_by]
    if not candidates:
        raise _upgrade_required(announced, drafts)
    # Drafts with the same version number may differ in the field that names the origin.
    fitting = [draft for draft in candidates if draft.origin_fields[0] in request.headers]
    fitting = fitting or candidates
    draft = fitting[0]
    if request.method != "GET":
        raise Reject(405, {"Allow": "GET"}, "A WebSocket request is a GET.\n")
    # What follows an opening is frames, so no request may announce a body. Some clients of
    # hixie-76 count the eight bytes of the handshake as one.
    _check_no_body(request, ("0", str(draft.opening.request_body)), "A WebSocket request")
    # Clients of the drafts without version numbers do not always escape targets and hosts.
    if draft.version is not None:
        _check_target(request)
        _check_host(request, at_least=1)
        for name in draft.origin_fields:
            # RFC 6454 section 7.3
            if len(request.headers.get_all(name)) > 1:
                raise Reject(400, body=f"Expected one {name} field.\n")
    if len(fitting) > 1:
        chosen = draft_named(mode(request))
        draft = chosen if chosen in fitting else draft
    return draft


def is_plain(request: Request) -> bool:
    """Whether a request is neither a WebSocket request nor meant to be one.

    Raises:
        Reject: the request contradicts itself.
    """
    return announcement(request) is None and "Sec-WebSocket-Key" not in request.headers


def check_plain(request: Request) -> None:
    """Checks that a request that is not a WebSocket request can be answered with a page.

    Raises:
        Reject: 405 if its method is neither GET nor HEAD; 400 if it announces a body, if its target
            has no path or one that is not escaped, or if it does not name one host.
    """
    if request.method not in ("GET", "HEAD"):
        raise Reject(405, {"Allow": "GET, HEAD"}, "Only GET and HEAD are answered here.\n")
    _check_no_body(request, ("0",), f"A {request.method}")
    _check_target(request)
    # HTTP/1.0 had no such field
    _check_host(request, at_least=0 if request.line.endswith(b" HTTP/1.0") else 1)


def _check_target(request: Request) -> None:
    """Checks that the target is a path, or a URL.

    Raises:
        Reject: 400.
    """
    target = request.raw_target
    # RFC 9112 section 3.2: else it is for other methods, or for none
    if b"://" in target and not target.startswith(b"/"):
        if not _URL.match(target):
            raise Reject(400, body="Expected a path, or a URL of http, https, ws or wss.\n")
    elif not target.startswith(b"/"):
        raise Reject(400, body="Expected a path that begins with a slash.\n")
    if not _TARGET.fullmatch(target):
        raise Reject(400, body="Expected a path with spaces and all beyond ASCII escaped.\n")


def _check_host(request: Request, *, at_least: int) -> None:
    """Checks the Host fields (RFC 9112 section 3.2).

    Raises:
        Reject: 400.
    """
    if not at_least <= len(request.headers.get_all("Host")) <= 1:
        raise Reject(400, body="Expected one Host field.\n")
    host = request.host
    if host is not None and not _HOST.fullmatch(host):
        raise Reject(400, body="Expected one host, perhaps with a port.\n")


def _check_no_body(request: Request, lengths: Collection[str], what: str) -> None:
    announced = request.headers.get_all("Content-Length")
    if "Transfer-Encoding" in request.headers or not set(announced) <= set(lengths):
        raise Reject(400, body=f"{what} has no body.\n")


def _upgrade_required(announced: str | None, drafts: tuple[Draft, ...]) -> Reject:
    # RFC 9110 section 15.5.22: a 426 says what to upgrade to
    fields = {"Upgrade": "websocket"}
    versions = sorted({draft.version for draft in drafts if draft.version is not None})
    if versions:
        # RFC 6455 section 4.4
        fields["Sec-WebSocket-Version"] = ", ".join(map(str, reversed(versions)))
    names = ", ".join(draft.name for draft in drafts)
    what = "This is no WebSocket request" if announced is None else "That draft is not spoken here"
    return Reject(426, fields, f"{what}; the drafts spoken here are: {names}.\n")
