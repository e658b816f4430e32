"""Opening handshakes: a server and any request, a client and any answer, and both together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from trio_draftws.drafts import (
    DRAFTS,
    BadHead,
    ClientOpening,
    Compression,
    Draft,
    HandshakeRequest,
    Headers,
    InvalidAnswer,
    NegotiatedParameters,
    Reject,
    Request,
    Response,
    WebSocketURL,
    check_plain,
    find_head_end,
    identify,
    is_plain,
    write_response,
)
from trio_draftws.drafts._fast_handshake import scan_opening, scan_opening_in_python
from trio_draftws.drafts._handshake.hixie76 import Hixie76Client
from trio_draftws.drafts._handshake.hybi import HybiClient, HybiServer
from trio_draftws.drafts._http.head import write_head

from . import vectors
from .growth import check_growth
from .oracle import Choices, Finding, Target, expect

STATUSES = (400, 403, 405, 414, 426, 431, 505)
# A client's secrets, which are none here
KEY1, KEY2, KEY3 = b"4 @1  46546xW%0l 1 5", b"12998 5 Y3 1  .P00", b"^n:ds[4U"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MODES = ("old", "new", "hybi-01", "rfc6455")
URLS = (
    "ws://example.com/demo",
    "wss://example.com:81/a?b",
    "ws://[::1]/",
    "ws://b\u00fccher.example",
)
ORIGINS = (None, "http://example.com", "HTTPS://Example.com:444", "null", "")
SUBPROTOCOLS = ((), ("sample",), ("b", "a"), ("a", "b", "a"), ("a b",))
COMPRESSIONS = (
    None,
    Compression(),
    Compression(webkit=True, client_max_window_bits=9, server_max_window_bits=10),
    Compression(server_no_context_takeover=True, client_no_context_takeover=True),
    Compression(webkit=True, server_max_window_bits=8, client_no_context_takeover=True),
)
FIELD_NAMES = (
    *("Host", "Upgrade", "Connection", "Origin", "Cookie", "Content-Length", "Transfer-Encoding"),
    *("WebSocket-Protocol", "WebSocket-Origin", "WebSocket-Location"),
    *(f"Sec-WebSocket-{name}" for name in ("Key1", "Key2", "Draft", "Key", "Version", "Accept")),
    *(
        f"Sec-WebSocket-{name}"
        for name in ("Extensions", "Protocol", "Nonce", "Origin", "Location")
    ),
)
WORDS = (
    *(f"\r\n{name}: ".encode() for name in FIELD_NAMES),
    *(b"\r\n", b"\r\n\r\n", b"HTTP/1.1", b"HTTP/1.0", b"websocket", b"WebSocket", b"Upgrade"),
    *(b"13", b"8", b"permessage-deflate", b"101", b"200", b"GET ", b"; ", b", "),
)


def split_head(data: bytes) -> tuple[bytes, bytes]:
    """A head, which is made whole if it is none, and what comes behind it."""
    end = find_head_end(bytearray(data), 0)
    return (data[:end], data[end:]) if end >= 0 else (data + b"\r\n\r\n", b"")


# A server, and any request


def check_request(data: bytes) -> None:
    """Answers a request, as far as it can be answered."""
    choices = Choices(data)
    mode, compression = choices.pick(MODES), choices.pick(COMPRESSIONS)
    drafts = DRAFTS[choices.byte() % len(DRAFTS) :]
    check_growth(lambda rest: answered(split_head(rest)[0], b"", mode, drafts), choices)
    head, body = split_head(choices.rest)
    found = scan_opening(choices.rest)
    expected = scan_opening_in_python(choices.rest)
    expect(found == expected, "something else is found at sight", found, expected)
    answered(head, body, mode, drafts, compression)


def answered(
    head: bytes,
    body: bytes,
    mode: str,
    drafts: tuple[Draft, ...],
    compression: Compression | None = None,
    *,
    secure: bool = False,
) -> tuple[Request, bytes, NegotiatedParameters] | None:
    """The request, what it is answered with, and what that settles; None where it is refused."""
    try:
        request = attrs.evolve(Request.parse(head), secure=secure)
    except BadHead as error:
        expect(error.status in STATUSES and str(error), "it is refused in an unknown way", error)
        return None
    look_at(request)
    try:
        if is_plain(request):
            check_plain(request)
            return None
        request = attrs.evolve(request, draft=identify(request, lambda request: mode, drafts))
        look_at(request)
        return request, *_accept(request, body, compression)
    except Reject as reject:
        expect(reject.status in STATUSES and reject.body, "it is refused in an unknown way", reject)
        refusal = write_response(reject.status, reject.headers, reject.body)
        refused = Response.parse(split_head(refusal)[0])
        expect(refused.status == reject.status, "the refusal is another", refused, reject)
    return None


def _accept(
    request: Request, body: bytes, compression: Compression | None
) -> tuple[bytes, NegotiatedParameters]:
    draft = request.draft
    assert draft is not None
    expect(request.method == "GET", "it is no GET", request)
    server = draft.opening.answer(request)
    if isinstance(server, HybiServer) and server.nonce is not None:
        server = attrs.evolve(server, nonce=KEY)
    subprotocol = next(iter(request.subprotocols), None)
    compression = compression if draft.compression else None
    head, agreement = server.accept(Headers(), subprotocol, compression)
    response = Response.parse(head)
    expect(response.status == 101, "it is accepted with another status", response)
    expect(agreement.subprotocol == subprotocol, "another subprotocol was settled", agreement)
    if len(body) < server.request_body:
        body = bytes(server.request_body)
    return head + server.prove(body[: server.request_body]), agreement


def look_at(request: Request) -> None:
    """Whatever is asked of a request has an answer, and written again it is the same."""
    line = f"{request.method} {request.target} ".encode("latin-1")
    expect(request.line.startswith(line), "its line is read as another", request)
    query = "?" + request.query if "?" in request.target else ""
    expect(request.location.endswith(query), "its location has another query", request)
    # What these should be, nothing else here can tell.
    repr((request.path, request.origin, request.subprotocols, request.cookies))
    names = list(request.headers)
    expect(len(names) == len(request.headers), "names are counted in another way", names)
    for name in names:
        values = request.headers.get_all(name)
        expect(request.headers[name.upper()] == ", ".join(values), "its case counts", name)
    again = Request.parse(write_head(request.line, request.headers.raw))
    expect(again.headers.raw == request.headers.raw, "written again it is another", request, again)


def request_seeds() -> Iterator[bytes]:
    requests = vectors.requests()
    for mode in range(len(MODES)):
        for compression in range(2):
            for request in requests:
                yield bytes([mode, compression, 0, 30, 20]) + request


# A client, and any answer


def openly(opening: ClientOpening) -> ClientOpening:
    """The same with keys that are known."""
    if isinstance(opening, Hixie76Client):
        return attrs.evolve(opening, key1=KEY1, key2=KEY2, key3=KEY3)
    if isinstance(opening, HybiClient):
        return attrs.evolve(opening, key=KEY)
    return opening


def some_ask(choices: Choices) -> HandshakeRequest:
    """What a client might ask for."""
    return HandshakeRequest(
        WebSocketURL.parse(choices.pick(URLS)),
        origin=choices.pick(ORIGINS),
        subprotocols=choices.pick(SUBPROTOCOLS),
        compression=choices.pick(COMPRESSIONS),
    )


def some_client(draft: Draft, ask: HandshakeRequest) -> ClientOpening | None:
    """A client that asks for it; None where the draft cannot."""
    if not draft.compression:
        ask = attrs.evolve(ask, compression=None)
    try:
        return openly(draft.opening.ask(ask, draft.subprotocols))
    except ValueError as error:
        expect(ask.subprotocols and str(error), "it cannot be asked for", error)
        return None


def check_answer(data: bytes) -> None:
    """Verifies an answer that is addressed to a client of some draft."""
    choices = Choices(data)
    draft = choices.pick(DRAFTS)
    client = some_client(draft, some_ask(choices))
    if client is not None:
        check_growth(lambda rest: verified(client, split_head(rest)[0], b""), choices)
        verified(client, *split_head(choices.rest))


def verified(client: ClientOpening, head: bytes, body: bytes) -> NegotiatedParameters | None:
    """What an answer settles; None where it is refused."""
    try:
        response = Response.parse(head)
    except BadHead as error:
        expect(error.status in STATUSES and str(error), "it is refused in an unknown way", error)
        return None
    line = f"{response.status:03} {response.reason}".rstrip(" ").encode("latin-1")
    expect(line in response.line, "its status is read as another", response)
    if len(body) < client.response_body:
        body = bytes(client.response_body)
    try:
        return client.verify(response, body[: client.response_body])
    except InvalidAnswer as error:
        expect(str(error), "it is refused without a reason", error)
        return None


def answer_seeds() -> Iterator[bytes]:
    """The answers of others, and to each client that of a server of its draft."""
    for answer in vectors.answers():
        for place in range(len(DRAFTS)):
            yield bytes([place, 0, 0, 0, 0, 30, 20]) + answer
    for place, draft in enumerate(DRAFTS):
        for settings in ((0, 0, 0, 0), (0, 0, 0, 1), (1, 1, 1, 2), (1, 1, 1, 4)):
            ask = some_ask(Choices(bytes(settings)))
            client = some_client(draft, ask)
            assert client is not None
            head, body = split_head(client.request())
            settled = answered(
                *(head, body, draft.name, (draft,), ask.compression), secure=ask.url.secure
            )
            assert settled is not None
            yield bytes([place, *settings, 20, 9]) + settled[1]


# Both together


def check_opening(data: bytes) -> None:
    """A client opens with a server, and both take the same to be settled."""
    choices = Choices(data)
    draft, compression, ask = choices.pick(DRAFTS), choices.pick(COMPRESSIONS), some_ask(choices)
    try:
        ask = attrs.evolve(ask, **asked_in_words(choices.rest))
    except ValueError:
        pass  # it is no URL, or no origin
    client = some_client(draft, ask)
    if client is None:
        return
    head, body = split_head(client.request())
    settled = answered(head, body, draft.name, DRAFTS, compression, secure=ask.url.secure)
    if settled is None:
        raise Finding(f"a client's request was refused: {head!r}")
    request, answer, ours = settled
    # Where two drafts' requests are the same, so are their answers.
    same = request.draft is not None and request.draft.announced_by == draft.announced_by
    expect(same, "it is another draft", request.draft, draft)
    theirs = verified(client, *split_head(answer))
    if theirs is None:
        raise Finding(f"a server's answer was refused: {answer!r}")
    expect(theirs.subprotocol == ours.subprotocol, "the subprotocols differ", theirs, ours)
    expect(theirs.masking_key == ours.masking_key, "the masking keys differ", theirs, ours)
    expect((theirs.deflate is None) == (ours.deflate is None), "one compresses", theirs, ours)
    if ours.deflate is not None and theirs.deflate is not None:
        check_windows(ours.deflate, theirs.deflate)


def asked_in_words(text: bytes) -> dict[str, Any]:
    """A URL, an origin and subprotocols, each on a line."""
    url, _, rest = text.decode("utf-8", "replace").partition("\n")
    origin, _, names = rest.partition("\n")
    said: dict[str, Any] = {}
    if url:
        said["url"] = WebSocketURL.parse(url)
    if origin:
        said["origin"] = origin
    if names:
        said["subprotocols"] = tuple(names.split("\n"))
    return said


def check_windows(server: Any, client: Any) -> None:
    """What each side sends, the other has a window for."""
    expect(server.per_frame == client.per_frame, "they compress in different ways", server, client)
    for sender, receiver in ((client.client, server.client), (server.server, client.server)):
        fits = sender.bits <= receiver.bits and sender.takeover <= receiver.takeover
        expect(fits, "a window is too small", sender, receiver)


def opening_seeds() -> Iterator[bytes]:
    for draft in range(len(DRAFTS)):
        for place in range(len(COMPRESSIONS)):
            yield bytes([draft, place, place, place, place, place])
            yield bytes([draft, 4 - place, 0, 0, 0, place])
        for said in (b"ws://h.example/\xc3\xa9?b", b"wss://[::1]:81\nhttp://o.example\na\nb"):
            yield bytes([draft, 1, 0, 0, 0, 1]) + said


TARGETS = (
    Target("requests", "a server and any request", check_request, request_seeds, WORDS),
    Target("answers", "a client and any answer", check_answer, answer_seeds, WORDS),
    Target("openings", "a client and a server", check_opening, opening_seeds, max_size=256),
)
