"""WebSocket URLs: what is one, and what it says."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import WebSocketURL, is_ws_url, is_wss_url

from .helpers import in_turn


class Refuses:
    """An object that objects to everything."""

    def refuse(self, *_: object) -> bool:
        raise RuntimeError("no")

    __eq__ = __ne__ = __bool__ = __contains__ = refuse
    __hash__ = __str__ = __repr__ = __len__ = __iter__ = refuse  # type: ignore[assignment]


class BoundToNothing:
    """A proxy, as some frameworks have, that cannot say now what it stands for."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError("working outside of a context")


class PretendsToBeText:
    """It claims to be a str, and is none."""

    def __getattribute__(self, name: str) -> object:
        return str if name == "__class__" else super().__getattribute__(name)


class Text(str):
    """A str of one's own."""

    __slots__ = ()


OBJECTS: list[object] = [
    None,
    True,
    0,
    1.5,
    float("nan"),
    10**5000,
    b"ws://example.com/",
    bytearray(b"ws://example.com/"),
    memoryview(b"ws://example.com/"),
    ["ws://example.com/"],
    ("ws", "example.com"),
    {"ws://example.com/": 1},
    {"ws://example.com/"},
    PurePosixPath("ws://example.com/"),
    str,
    type,
    object(),
    len,
    lambda: "ws://example.com/",
    sys,
    NotImplemented,
    ...,
    ValueError("ws://example.com/"),
    Refuses,
]


@in_turn("x", OBJECTS)
def test_no_object_raises(x: object) -> None:
    """Whatever is asked about, the answer is no, and never an exception."""
    assert (is_ws_url(x), is_wss_url(x)) == (False, False)


@pytest.mark.parametrize("kind", [Refuses, BoundToNothing, PretendsToBeText])
def test_no_hostile_object_raises(kind: type) -> None:
    """Not even an object whose every method raises, or that lies about its type."""
    x = kind()
    assert (is_ws_url(x), is_wss_url(x)) == (False, False)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    st.binary(),
    st.datetimes(),
    st.uuids(),
    st.ip_addresses(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
    st.frozensets(st.text()),
    st.functions(),
    st.slices(5),
)
WORDS = [
    "ws",
    "wss",
    "http",
    ":",
    "//",
    "/",
    "?",
    "#",
    "@",
    "[",
    "]",
    "::1",
    "%",
    "%25",
    "443",
    "0",
    "example",
    ".",
    "xn--",
    "é",
    "。",
    "\\",
    "..",
    "-",
]
PIECES = st.sampled_from([*WORDS, "\ud800", "\x00", "\r\n", " "])
TEXTS = st.text() | st.lists(PIECES, max_size=10).map("".join)
URLS = st.builds("ws{}://{}".format, st.sampled_from(["", "s"]), TEXTS)


@pytest.mark.no_cover
@given(ANYTHING)
def test_nothing_but_text_is_a_url(x: object) -> None:
    """Objects of any other type are neither."""
    assert (is_ws_url(x), is_wss_url(x)) == (False, False)


@given(TEXTS | URLS)
def test_text_is_one_or_none(text: str) -> None:
    """The two never raise, and know what `parse` knows."""
    try:
        secure: bool | None = WebSocketURL.parse(text).secure
    except ValueError:
        secure = None
    assert (secure is not None, secure is True) == (is_ws_url(text), is_wss_url(text))


@given(URLS)
def test_what_was_parsed_is_fit_to_be_sent(text: str) -> None:
    """Host and resource are visible ASCII, and the parts put together are the same URL."""
    try:
        url = WebSocketURL.parse(text)
    except ValueError:
        return
    for part in (url.host, url.host_field, url.resource):
        assert part.isascii()
        assert all("!" <= letter <= "~" for letter in part)
    assert url == WebSocketURL.parse(url.location)


def parts(url: str) -> tuple[bool, str, int, str]:
    parsed = WebSocketURL.parse(url)
    return parsed.secure, parsed.host, parsed.port, parsed.resource


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://example.com", (False, "example.com", 80, "/")),
        ("wss://example.com", (True, "example.com", 443, "/")),
        ("WSS://EXAMPLE.com/Path", (True, "example.com", 443, "/Path")),
        ("ws://example.com:8080/", (False, "example.com", 8080, "/")),
        ("ws://example.com:/", (False, "example.com", 80, "/")),
        ("ws://example.com:443/", (False, "example.com", 443, "/")),
        ("ws://example.com:065535/", (False, "example.com", 65535, "/")),
        ("ws://h?q", (False, "h", 80, "/?q")),
        ("ws://h/?", (False, "h", 80, "/?")),
        ("ws://h/a?b?c", (False, "h", 80, "/a?b?c")),
        ("ws://h//a/../b;c=d", (False, "h", 80, "//a/../b;c=d")),
        ("ws://h/a b/\u00e9?\u00fc d", (False, "h", 80, "/a%20b/%C3%A9?%C3%BC%20d")),
        ("ws://h/%41%zz%20", (False, "h", 80, "/%41%zz%20")),
        ('ws://h/"<>^`{|}\\', (False, "h", 80, "/%22%3C%3E%5E%60%7B%7C%7D%5C")),
        ("ws://h/a@b:c!$&'()*+,~-._[]", (False, "h", 80, "/a@b:c!$&'()*+,~-._[]")),
        ("ws://127.0.0.1:9/", (False, "127.0.0.1", 9, "/")),
        ("ws://[::1]/", (False, "::1", 80, "/")),
        ("ws://[0:0:0:0:0:0:0:1]:81/x", (False, "::1", 81, "/x")),
        ("ws://[FE80::A]/", (False, "fe80::a", 80, "/")),
        ("ws://b\u00fccher.example/", (False, "xn--bcher-kva.example", 80, "/")),
        ("ws://\uff25\uff38.com/", (False, "ex.com", 80, "/")),
        (f"ws://{'a.' * 127}/", (False, "a." * 127, 80, "/")),
        ("ws://under_score.example./", (False, "under_score.example.", 80, "/")),
        ("wss://A.Example./", (True, "a.example.", 443, "/")),
        ("ws://fa\u00df.example:8080/", (False, "xn--fa-hia.example", 8080, "/")),
        ("ws://\u2603.example/", (False, "xn--n3h.example", 80, "/")),
        ("ws://\u0392\u038c\u039b\u039f\u03a3.example/", (False, "xn--nxasmq6b.example", 80, "/")),
        ("ws://b%C3%BCcher.example/", (False, "xn--bcher-kva.example", 80, "/")),
        ("ws://127.1/", (False, "127.0.0.1", 80, "/")),
    ],
)
def test_parts(url: str, expected: tuple[bool, str, int, str]) -> None:
    """Scheme, host, port and what to ask for."""
    assert expected == parts(url)


@in_turn(
    ("url", "why"),
    [
        ("", "the scheme is '', expected ws:// or wss://"),
        ("example.com", "the scheme is ''"),
        ("//example.com/", "the scheme is ''"),
        ("http://example.com/", "the scheme is 'http'"),
        ("wsss://example.com/", "the scheme is 'wsss'"),
        ("ws:example.com", "it names no host"),
        ("ws:/example.com", "it names no host"),
        ("ws://", "it names no host"),
        ("ws:///path", "it names no host"),
        ("ws://:80/", "it names no host"),
        ("ws://?q", "it names no host"),
        ("ws://h/#", "no fragment"),
        ("ws://h/a#b", "no fragment"),
        ("ws://h#", "no fragment"),
        ("https://h/a?b", "expected ws:// or wss://; write 'wss://h/a?b'"),
        ("ws://h:0/", "nothing listens on port 0"),
        ("ws://h:65536/", "Port out of range"),
        ("ws://h:-1/", "Port could not be cast"),
        ("ws://h:eighty/", "Port could not be cast"),
        ("ws://h:80:80/", "Port could not be cast"),
        ("ws://h:\u0663/", "Port could not be cast"),
        ("ws://h:" + "9" * 5000 + "/", ""),
        (" ws://h/", "begins or ends in a space"),
        ("ws://h/ ", "begins or ends in a space"),
        ("ws://h/\r\nEvil: 1", "control character"),
        ("ws://h/\x00", "control character"),
        ("ws://h/\t", "control character"),
        ("ws://h/\x7f", "control character"),
        ("w\ns://h/", "control character"),
        ("ws://h\n/", "control character"),
        # Each another letter: to write that in punycode would take seconds.
        (f"ws://{''.join(map(chr, range(0x4E00, 0x6E00)))}/", "has more than 254 characters"),
        (f"ws://{'a.' * 128}/", "has more than 254 characters"),
        ("ws://a b/", "'a b' is no host name"),
        ("ws:// h/", "' h' is no host name"),
        ("ws://a\\b/", "is no host name"),
        ("ws://good.example\\x/", "is no host name"),
        ("ws:\\\\a/", "it names no host"),
        ("ws://a<b>/", "is no host name"),
        ("ws://a^b/", "is no host name"),
        ('ws://a"b/', "is no host name"),
        ("ws://a%00b/", "is no host name"),
        ("ws://a%20b/", "is no host name"),
        ("ws://a%5Cb/", "is no host name"),
        ("ws://a%40b/", "is no host name"),
        ("ws://a%3A80/", "is no host name"),
        ("ws://a\u200db/", "is no host name"),
        ("ws://a..b/", "is no host name"),
        ("ws://" + "a" * 64 + "/", "is no host name"),
        ("ws://\ud800/", "lone surrogate"),
        ("ws://\u00a0/", "is no host name"),
        ("ws://[::1/", "Invalid IPv6 URL"),
        ("ws://::1]/", "Invalid IPv6 URL"),
        ("ws://[::g]/", ""),
        ("ws://[1.2.3.4]/", ""),
        ("ws://a\u2100b/", "NFKC"),
    ],
)
def test_what_is_no_url(url: str, why: str) -> None:
    """The error names the URL and says what is wrong with it."""
    with pytest.raises(ValueError, match=r"^not a WebSocket URL: ") as caught:
        WebSocketURL.parse(url)
    assert why in str(caught.value)


@in_turn(
    "url",
    [
        "ws://[::1]junk/",
        "ws://junk[::1]/",
        "ws://[v1.abc]/",
        "ws://[v1.a:b]/",
        "ws://[fe80::1%a b]/",
        "ws://[]/",
    ],
)
def test_brackets_hold_an_ipv6_address_and_nothing_else(url: str) -> None:
    """Where another reader might see another host, there is no URL."""
    with pytest.raises(ValueError, match=r"^not a WebSocket URL: "):
        WebSocketURL.parse(url)


@pytest.mark.parametrize("url", ["ws://h/\ud800", "ws://h/?\udc80"])
def test_lone_surrogates_are_no_url(url: str) -> None:
    """What UTF-8 cannot say is refused with a message like every other."""
    with pytest.raises(ValueError, match=r"^not a WebSocket URL: "):
        WebSocketURL.parse(url)


@in_turn("url", [None, b"ws://h/", 1, PurePosixPath("/")])
def test_what_is_no_text(url: object) -> None:
    """Another type is a TypeError that names it."""
    with pytest.raises(TypeError, match=f"is a str, not {type(url).__name__}$"):
        WebSocketURL.parse(url)


def test_str_subclass() -> None:
    """A str of one's own will do."""
    assert is_ws_url(Text("ws://example.com/"))


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("ws://h/@", None),
        ("ws://@h/", None),
        ("ws://me@h/", ("me", "")),
        ("ws://me:@h/", ("me", "")),
        ("ws://:pw@h/", ("", "pw")),
        ("ws://me:p:w@h/", ("me", "p:w")),
        ("ws://me:p@w@h/", ("me", "p@w")),
        ("ws://m%3Ae:p%2F%40%C3%BC@h/", ("m:e", "p/@\u00fc")),
        ("ws://m\u00e9:\u00fc@h/", ("m\u00e9", "\u00fc")),
        ("wss://me:pw@[::1]:81/", ("me", "pw")),
    ],
)
def test_user_and_password(url: str, user: tuple[str, str] | None) -> None:
    """They are apart, and no other part shows them."""
    parsed = WebSocketURL.parse(url)
    assert parsed.user == user
    assert parsed.host in ("h", "::1")
    assert not any("pw" in text for text in (repr(parsed), parsed.location, parsed.page_origin))
    assert is_ws_url(url)
    assert is_wss_url(url) is url.startswith("wss")


@in_turn("letter", list(' "<>\\^`{|}'))
@in_turn("user", ["good.example{}", "good.example:80{}", "{}me:pw", "me:secret{}x"])
@in_turn("scheme", ["ws", "wss"])
def test_a_user_may_not_hold_what_no_url_may(letter: str, user: str, scheme: str) -> None:
    """For other readers the host is another: to them a backslash, say, ends it."""
    with pytest.raises(ValueError, match="in user and password write") as caught:
        WebSocketURL.parse(f"{scheme}://{user.format(letter)}@bad.example/")
    assert "secret" not in str(caught.value)
    assert "good" not in str(caught.value)
    # As an escape it is one character of the user's, for everybody.
    escaped = f"{scheme}://{user.format(f'%{ord(letter):02X}')}@bad.example/"
    parsed = WebSocketURL.parse(escaped)
    assert parsed.host == "bad.example"
    assert parsed.user is not None
    assert letter in "".join(parsed.user)


@in_turn(
    "url",
    [
        "http://me:secret@h/",
        "me:secret@h",
        "ws:/me:secret@h/",
        "ws://me:secret@h:99999/",
        "ws://me:secret@h:port/",
        "ws://me:secret@h/#f",
        "ws://me:se/secret@h/",
        "ws://me:secret/x@h/",
        "ws://me:secret?x@h/",
        "ws://me:secret[x@h/",
        "ws://me:secret\u2100@h/",
        "ws://me:secret@a b/",
        "ws://me:secret@/",
        "ws://secret^me/x@h/",
        "ws://secret^me?x@h/",
        "ws://me:secret x@h/",
        "ws://me:secret\\@h/",
        "ws://me:secret\n@h/",
    ],
)
def test_no_message_shows_a_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^not a WebSocket URL: ") as caught:
        WebSocketURL.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host_field"),
    [
        ("ws://h/", "h"),
        ("ws://h:80/", "h"),
        ("ws://h:443/", "h:443"),
        ("wss://h/", "h"),
        ("wss://h:443/", "h"),
        ("wss://h:80/", "h:80"),
        ("ws://[::1]/", "[::1]"),
        ("wss://[::1]:8443/", "[::1]:8443"),
    ],
)
def test_host_field(url: str, host_field: str) -> None:
    """The port is named only where it is not the scheme's own."""
    assert host_field == WebSocketURL.parse(url).host_field


@pytest.mark.parametrize(
    ("url", "location", "page_origin"),
    [
        ("ws://H:80/a?b", "ws://h/a?b", "http://h"),
        ("wss://H:444", "wss://h:444/", "https://h:444"),
        ("ws://[::1]:81/\u00e9", "ws://[::1]:81/%C3%A9", "http://[::1]:81"),
    ],
)
def test_location_and_origin(url: str, location: str, page_origin: str) -> None:
    """The URL again as the drafts compare it, and the origin of a page beside it."""
    parsed = WebSocketURL.parse(url)
    assert (location, page_origin) == (parsed.location, parsed.page_origin)
