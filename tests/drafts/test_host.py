"""The names of hosts: how each is written, and what is none."""

from __future__ import annotations

import socket

import idna
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trio_draftws.drafts import ascii_host, split_authority, tls_name

from .helpers import in_turn


@in_turn(
    ("name", "written"),
    [
        # What IDNA 2003 took for another name
        ("fa\u00df.example", "xn--fa-hia.example"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.example", "xn--nxasmm1c.example"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example", "xn--mgba3gch31f060k.example"),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3.example", "xn--10cl1a0b660p.example"),
        # A capital sigma is one everywhere, and Python's `lower` takes it for another at the end.
        ("\u0392\u038c\u039b\u039f\u03a3.example", "xn--nxasmq6b.example"),
        # What both take for the same
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.Example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048\u3002\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("\u05e9\u05dc\u05d5\u05dd.example", "xn--9dbne9b.example"),
        ("\uff25\uff38\uff0ecom", "ex.com"),
        ("a\u00adb\u00fc.example", "xn--ab-yka.example"),
        # What IDNA 2008 refuses and browsers take
        ("\u2603.example", "xn--n3h.example"),
        ("i\u2764.example", "xn--i-7iq.example"),
        ("\U0001f4a9.example", "xn--ls8h.example"),
        ("a\u00b7b.example", "xn--ab-0ea.example"),
        ("-\u00fc.example", "xn----eha.example"),
        ("my_b\u00fccher.example", "xn--my_bcher-95a.example"),
        # ASCII is nobody's business.
        ("my_service", "my_service"),
        ("a_b.example", "a_b.example"),
        ("A--B.Example", "a--b.example"),
        ("-a-.example", "-a-.example"),
        ("xn--n3h.example", "xn--n3h.example"),
        ("xn--a.example", "xn--a.example"),
        ("XN--N3H.example", "xn--n3h.example"),
        ("a.example.", "a.example."),
        ("fa\u00df.example.", "xn--fa-hia.example."),
        # RFC 3986 section 3.2.2
        ("%61.example", "a.example"),
        ("b%C3%BCcher.example", "xn--bcher-kva.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        ("a." * 126 + "a", "a." * 126 + "a"),
        # Addresses
        ("::1", "::1"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("0177.0.0.0x1", "127.0.0.1"),
        ("0x7F000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("\uff11\uff12\uff17\u3002\uff10\u3002\uff10\u3002\uff11", "127.0.0.1"),
        # And what only looks like one
        ("1.2.3.256", "1.2.3.256"),
        ("1.2.3.4.5", "1.2.3.4.5"),
        ("256.1", "256.1"),
        ("4294967296", "4294967296"),
        ("08", "08"),
        ("0xg", "0xg"),
        ("1.2.example", "1.2.example"),
    ],
)
def test_as_it_is_written(name: str, written: str) -> None:
    assert ascii_host(name) == written
    assert ascii_host(written) == written


@in_turn(
    "name",
    [
        *("", ".", "a..b", ".a", "a..", "a" * 64, "a." * 127 + "a", "a." * 126 + "aa", "a" * 5000),
        # What no URL may hold, as it is and in other spellings
        *(f"a{letter}b" for letter in ' "<>\\^`{|}%/?#@[]\x00\x7f\u00a0'),
        # Two of them, to whoever reads a Host field
        *("a,b", "a%2Cb", "a\uff0cb"),
        *("a%00b", "a%20b", "a%5Cb", "a%2Fb", "a%25b", "a%zz", "%3A%3A1", "%5B::1%5D"),
        *("a\uff3cb", "a\uff05b", "a\uff0fb", "a\u2024.", "a\u3002\u3002b"),
        # What browsers refuse too
        "\u0301a.example",
        "a\u200db.example",
        "\u200c.example",
        "a\u05d0.example",
        "\u05d0a\u05d0.example",
        "xn--\u00fc.example",
        "\u00ad.example",
        "a\ufffdb.example",
        "a%FFb.example",
        "a\u202eb.example",
        "\u00fc" * 60 + ".example",
        "\u00fc." * 60,
        # No addresses
        *(":", "::g", "1::2::3", "a:80", "[::1]"),
    ],
)
def test_what_is_no_host(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ascii_host(name)


NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=3
).map(".".join)


@given(NAMES)
@example("fa\u00df")
def test_what_idna_2008_allows_is_that_and_no_other_name(name: str) -> None:
    """Its rules are stricter; wherever they allow a name, both write the same."""
    assume("%" not in name and ":" not in name)
    try:
        expected = idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        return
    written = ascii_host(name)
    assert written == expected or socket.inet_aton(expected.removesuffix("."))


@given(st.lists(st.sampled_from([*"0123456789", "0x", "ff", ".", "256"]), max_size=9).map("".join))
def test_what_is_an_address_to_the_system_is_one_here(name: str) -> None:
    """Or else it might be another to whoever looks at the name alone."""
    try:
        expected = socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return
    assert ascii_host(name) == expected


@in_turn(
    ("host", "name"),
    [
        ("a.example", "a.example"),
        ("a.example.", "a.example"),
        ("A.Example.", "a.example"),
        ("fa\u00df.example.", "xn--fa-hia.example"),
        ("::1", "::1"),
        ("127.0.0.1.", "127.0.0.1"),
    ],
)
def test_the_name_for_tls(host: str, name: str) -> None:
    """RFC 6066 section 3: without the final dot."""
    assert tls_name(host) == name


@in_turn(
    ("authority", "parts"),
    [
        ("a.example", ("a.example", None)),
        ("A.example:80", ("a.example", 80)),
        ("a.example:", ("a.example", None)),
        ("[::0:1]", ("::1", None)),
        ("[::1]:65535", ("::1", 65535)),
        ("127.1:080", ("127.0.0.1", 80)),
    ],
)
def test_host_and_port(authority: str, parts: tuple[str, int | None]) -> None:
    assert split_authority(authority) == parts


@in_turn(
    "authority",
    [
        *("", ":80", "a:b", "a:-1", "a:0", "a:65536", "a:\u0663", "a:80:80", "a:" + "9" * 5000),
        *("::1", "::1:80", "[::1", "::1]", "[a]", "[::1]a", "[::1%25eth0]", "[::1]:x", "[]"),
        *("user@a", "a/b", "a/b c@d", "a b"),
        *("a\\b", "a?b", "a#b", "http://a"),
    ],
)
def test_what_is_no_host_and_port(authority: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_authority(authority)
