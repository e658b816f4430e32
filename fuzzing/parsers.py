"""The small languages: extensions, URLs, cookies, and what a close carries."""

from __future__ import annotations

from collections.abc import Iterator

from trio_draftws.drafts import (
    DRAFTS,
    Close,
    Compression,
    Headers,
    LocalProtocolError,
    Request,
    WebSocketURL,
    is_ws_url,
    is_wss_url,
)
from trio_draftws.drafts._framing.frame_codec import FrameCodec
from trio_draftws.drafts._framing.header import CLOSE, MAX_CONTROL_PAYLOAD
from trio_draftws.drafts._handshake.extensions import (
    PER_FRAME,
    PER_MESSAGE,
    Extension,
    _write,
    accept_offer,
    parse,
    settle_answer,
    write_offers,
)

from . import vectors
from .decoding import outcome
from .frames import PEER, ROLES, encoded, new_codec
from .growth import check_growth
from .openings import COMPRESSIONS
from .oracle import Choices, Target, expect

# Extensions

ANY_ANSWER = Compression(webkit=True)


def check_extensions(data: bytes) -> None:
    """Takes the value of a field as an offer and as an answer."""
    choices = Choices(data)
    settings = choices.pick(COMPRESSIONS) or ANY_ANSWER
    check_growth(lambda rest: offered_and_answered(rest, settings), choices)
    offered_and_answered(choices.rest, settings)


def offered_and_answered(raw: bytes, settings: Compression) -> None:
    value = raw.decode("latin-1")
    try:
        named = parse(value)
    except ValueError as error:
        expect(str(error), "it is refused without a reason", error)
        named = []
    for name, parameters in named:
        if parameters is not None:
            again = parse(_write(name, parameters))
            expect(again == [(name, parameters)], "written again it is another", again)
    try:
        settle_answer([value], settings)
    except ValueError as error:
        expect(str(error), "it is refused without a reason", error)
    check_offer(value, settings, named)


def check_offer(value: str, settings: Compression, named: list[Extension]) -> None:
    """What a server takes of an offer is something of it, and can be settled."""
    agreed = accept_offer([value], settings)
    if agreed is None:
        return
    [(name, parameters)] = parse(agreed.field)
    expect(name in [each[0] for each in named], "what was not offered is taken", agreed)
    expect(parameters is not None, "an answer contradicts itself", agreed)
    for window in (agreed.client, agreed.server):
        expect(window.bits in range(8, 16), "there is no such window", agreed)
    if name in (PER_MESSAGE, PER_FRAME[0]):
        settled = settle_answer([agreed.field], ANY_ANSWER)
        expect(settled is not None and settled.client == agreed.client, "it means another", agreed)
        # The older extension says nothing of what the server does.
        if settled is not None and not agreed.per_frame:
            # What we do may be less than we said; no more, or the client could not inflate it.
            ours, theirs = agreed.server, settled.server
            expect(ours.bits <= theirs.bits, "more is done than was said", agreed)
            expect(ours.takeover == theirs.takeover, "it means another", agreed)


def extension_seeds() -> Iterator[bytes]:
    values = [write_offers(settings) for settings in COMPRESSIONS if settings is not None]
    values += [
        'permessage-deflate; client_max_window_bits="10", other; a=b; c',
        "x-webkit-deflate-frame; max_window_bits=9; no_context_takeover, deflate-frame",
        " , permessage-deflate;server_no_context_takeover ; server_max_window_bits=8",
        'a; b="\\"\\c"',
    ]
    for place in range(len(COMPRESSIONS)):
        for value in values:
            yield bytes([place, 20, 5]) + value.encode()


# URLs


def check_url(data: bytes) -> None:
    """Takes a URL apart, and what that gives once more."""
    choices = Choices(data)
    check_growth(taken_apart, choices)
    taken_apart(choices.rest)


def taken_apart(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    try:
        url = WebSocketURL.parse(text)
    except ValueError as error:
        expect(str(error).startswith("not a WebSocket URL: "), "it does not say what", error)
        expect(not (is_ws_url(text) or is_wss_url(text)), "it is one, and is none", text)
        return
    expect((is_ws_url(text), is_wss_url(text)) == (True, url.secure), "it is none", url)
    expect(0 < url.port < 65536, "there is no such port", url)
    expect(url.resource.startswith("/"), "there is no such resource", url)
    written = url.host_field + url.resource
    expect(written.isascii() and written.isprintable() and " " not in written, "unwritable", url)
    again = WebSocketURL.parse(url.location)
    expect(again == url, "its location is another", url, again)


def url_seeds() -> Iterator[bytes]:
    urls = [
        *("ws://example.com", "wss://EXAMPLE.com:443/a/b?c=d&e", "WS://[::1]:8080/%7Ea"),
        *("ws://b\u00fccher.example/\u00e9", "ws://h?", "ws://h/?#", "ws://u:p@h/", "ws://h:/"),
        *("ws://h:0", "ws://h:65536", "http://h/", "ws://", "ws://a..b", "ws://\uff41.\u3002b"),
        *("ws://[fe80::1%25eth0]/", "ws://h /", "ws:/h", "//h", "ws://xn--bcher-kva.example"),
    ]
    for url in urls:
        yield bytes([6, 2]) + url.encode()


# Cookies


def check_cookies(data: bytes) -> None:
    """Reads cookies, and compares with what a look at each pair says."""
    choices = Choices(data)
    check_growth(lambda rest: cookies([rest]), choices)
    fields = choices.rest.split(b"\n")
    found = cookies(fields)
    expected: dict[str, str] = {}
    for pair in b";".join(fields).decode("latin-1").split(";"):
        if "=" in pair:
            name, value = (part.strip(" \t") for part in pair.split("=", 1))
            expected = {name: value} | expected
    expect(found == expected, "there are others", found, expected)
    again = cookies(["; ".join(map("=".join, found.items())).encode("latin-1")])
    expect(again == found, "written again they are others", found, again)


def cookies(fields: list[bytes]) -> dict[str, str]:
    return Request(b"", Headers([(b"Cookie", field) for field in fields])).cookies


def cookie_seeds() -> Iterator[bytes]:
    for field in (b"a=b; c=\xe9; a=d", b"none", b"=x;;y=", b' q = "z; w" \n a=1', b"a==;b= c =d"):
        yield bytes([0, 4]) + field


# Closes

WITH_FRAMES = tuple(draft for draft in DRAFTS if draft.fragments)


def check_close(data: bytes) -> None:
    """Reads what a close carries; where it may, its echo says the same."""
    choices = Choices(data)
    draft, role = choices.pick(WITH_FRAMES), choices.pick(ROLES)
    body = choices.rest[:MAX_CONTROL_PAYLOAD]
    peer = new_codec(draft, PEER[role])
    assert isinstance(peer, FrameCodec)
    wire = b"".join(bytes(part) for part in peer._encoder.write_frame(CLOSE, body))
    heard = outcome(new_codec(draft, role), [wire])
    if heard.violation is not None:
        expect(draft.close_status and heard.violation[0] in (1002, 1007), "it is wrong", heard)
        return
    [close] = heard.events
    expect(isinstance(close, Close), "it is no close", close)
    try:
        echo = encoded(peer, [close])
    except LocalProtocolError:
        # U+FFFD takes more room than what it stands for.
        expect("\ufffd" in repr(close), "what was heard cannot be said", close)
        return
    again = outcome(new_codec(draft, role), [echo])
    letter = not draft.close_status and draft.version == 5
    expect(letter or again == heard, "its echo is another", heard, again)


def close_seeds() -> Iterator[bytes]:
    bodies = [b"", b"\x03", b"S", b"\x03\xe8", b"\x03\xe9 going", b"\x03\xed", b"\x0b\xb8\xc3\xa9"]
    bodies += [wire[2:] for wire in vectors.frames("F-07") if wire[:1] == b"\x88"]
    for place in range(len(WITH_FRAMES)):
        for role in range(len(ROLES)):
            for body in bodies:
                yield bytes([place, role]) + body


TARGETS = (
    Target(
        "extensions",
        "offers of compression, and answers to them",
        check_extensions,
        extension_seeds,
        words=(
            *(b"permessage-deflate", b"x-webkit-deflate-frame", b"deflate-frame", b"; ", b", "),
            *(b"server_max_window_bits", b"client_max_window_bits=", b"no_context_takeover"),
            *(b'"', b"\\", b"8", b"15", b"server_no_context_takeover"),
        ),
    ),
    Target(
        "urls",
        "WebSocket URLs",
        check_url,
        url_seeds,
        words=(b"ws://", b"wss://", b"[::1]", b"xn--", b"%25", b"\xc3\xbc", b"\xef\xbd\x81"),
    ),
    Target("cookies", "the cookies of a request", check_cookies, cookie_seeds),
    Target("closes", "what a closing frame carries", check_close, close_seeds, max_size=160),
)
