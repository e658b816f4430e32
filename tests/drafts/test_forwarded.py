"""Who the client is, by what proxies add to its request."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import each_row
from trio_draftws.drafts import Address, BadHead, Headers, address_in, forwarded_client, ip_of

PROXY = Address("10.0.0.1", 4000)
NETWORK = ipaddress.ip_network("10.0.0.0/8")


def trusts(address: Address) -> bool:
    ip = ip_of(address.host)
    assert ip is not None
    return ip in NETWORK


def client_of(*fields: str) -> tuple[str, bool | None]:
    lines = (field.encode("latin-1").partition(b": ") for field in fields)
    found = forwarded_client(Headers((name, value) for name, _, value in lines), PROXY, trusts)
    return str(found.address), found.secure


FOR = "X-Forwarded-For: "
PROTO = "X-Forwarded-Proto: "
STANDARD = "Forwarded: "
PIECES = ["192.0.2.1", "10.0.0.1", "[::1]", ":80", ",", ";", "for=", "proto=", "https", '"', " "]


@each_row(
    "fields, client",
    [
        ((), "10.0.0.1:4000"),
        ((FOR + "192.0.2.1",), "192.0.2.1"),
        ((FOR + "192.0.2.1:99",), "192.0.2.1:99"),
        ((FOR + "2001:DB8::0:1",), "2001:db8::1"),
        ((FOR + "[2001:db8::1]",), "2001:db8::1"),
        ((FOR + "[2001:db8::1]:99",), "[2001:db8::1]:99"),
        ((FOR + "::ffff:192.0.2.1",), "192.0.2.1"),
        # Only what stands behind the first that is not trusted was written by one who is
        ((FOR + "203.0.113.9, 192.0.2.1",), "192.0.2.1"),
        ((FOR + "203.0.113.9, 192.0.2.1 ,\t10.1.1.1,10.2.2.2",), "192.0.2.1"),
        ((FOR + "10.9.9.9, 192.0.2.1",), "192.0.2.1"),
        ((FOR + "203.0.113.9", FOR + "192.0.2.1", FOR + "10.1.1.1"), "192.0.2.1"),
        # All are trusted
        ((FOR + "10.3.3.3, 10.1.1.1:80",), "10.3.3.3"),
        # Malformed: the last one that is known
        ((FOR + "",), "10.0.0.1:4000"),
        ((FOR + "unknown",), "10.0.0.1:4000"),
        ((FOR + "192.0.2.1, unix:",), "10.0.0.1:4000"),
        ((FOR + "192.0.2.1, x, 10.1.1.1",), "10.1.1.1"),
        ((FOR + "192.0.2.1,, 10.1.1.1",), "10.1.1.1"),
        ((STANDARD + "for=192.0.2.1",), "192.0.2.1"),
        ((STANDARD + 'For="192.0.2.1:99"',), "192.0.2.1:99"),
        ((STANDARD + 'for="[2001:db8::1]:_hidden"; by=_me',), "2001:db8::1"),
        ((STANDARD + "by=10.0.0.1;host=a;for=192.0.2.1;proto=http, for=10.1.1.1",), "192.0.2.1"),
        ((STANDARD + "for=203.0.113.9", STANDARD + "for=192.0.2.1"), "192.0.2.1"),
        ((STANDARD + "for=_gazonk",), "10.0.0.1:4000"),
        ((STANDARD + "for=192.0.2.1, for=unknown, for=10.1.1.1",), "10.1.1.1"),
        ((STANDARD + "proto=https",), "10.0.0.1:4000"),
        ((STANDARD + "for=192.0.2.1;for=192.0.2.2",), "10.0.0.1:4000"),
        ((STANDARD + "192.0.2.1",), "10.0.0.1:4000"),
        # A quote that is never closed hides nothing behind it.
        ((STANDARD + 'for="192.0.2.9, for=192.0.2.1',), "192.0.2.1"),
        ((STANDARD + 'for="192.0.2.9;by=", for=192.0.2.1, for=10.1.1.1',), "192.0.2.1"),
        # Both kinds, where they agree
        ((STANDARD + 'for="192.0.2.1:99"', FOR + "203.0.113.9, 192.0.2.1"), "192.0.2.1:99"),
    ],
)
def test_the_client(fields: tuple[str, ...], client: str) -> None:
    assert client_of(*fields)[0] == client


@each_row(
    "fields, secure",
    [
        ((FOR + "192.0.2.1",), None),
        ((PROTO + "https",), True),
        ((PROTO + "wss",), True),
        ((PROTO + "HTTP",), False),
        ((PROTO + "ws",), False),
        ((PROTO + "gopher",), None),
        ((PROTO + "",), None),
        ((FOR + "192.0.2.1", PROTO + "https"), True),
        # The proxy in the middle says how the one before it has come.
        ((FOR + "192.0.2.1, 10.1.1.1", PROTO + "https, http"), True),
        ((FOR + "192.0.2.1, 10.1.1.1", PROTO + "https"), True),
        # What a client wrote in front of what the proxy did
        ((FOR + "203.0.113.9, 192.0.2.1", PROTO + "https, http"), False),
        ((STANDARD + "for=192.0.2.1;proto=https",), True),
        ((STANDARD + "for=192.0.2.1;proto=https, for=10.1.1.1;proto=http",), True),
        ((STANDARD + "for=1.1.1.1;proto=https, for=192.0.2.1;Proto=http",), False),
        ((STANDARD + "for=_hidden;proto=https",), True),
        ((STANDARD + "for=192.0.2.1", PROTO + "https"), True),
        ((STANDARD + "for=192.0.2.1;proto=https", FOR + "192.0.2.1"), True),
        ((STANDARD + "for=192.0.2.1;proto=https", FOR + "192.0.2.1", PROTO + "https"), True),
    ],
)
def test_whether_over_tls(fields: tuple[str, ...], secure: bool | None) -> None:
    assert client_of(*fields)[1] is secure


@each_row(
    "fields, what",
    [
        ((STANDARD + "for=203.0.113.9", FOR + "192.0.2.1"), "clients"),
        # An empty one of the client's own takes nothing away from what the proxy says.
        ((STANDARD + "for=unknown", FOR + "192.0.2.1"), "clients"),
        ((STANDARD + "for=192.0.2.1;proto=https", PROTO + "http"), "schemes"),
    ],
)
def test_kinds_that_disagree(fields: tuple[str, ...], what: str) -> None:
    """One of them may be the client's own."""
    with pytest.raises(BadHead, match=f"name different {what}") as caught:
        client_of(*fields)
    assert caught.value.status == 400


@each_row(
    "text",
    [
        "",
        "a.example",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:8o",
        "192.0.2.1:\u0664",
        "192.0.2.1 ",
        "[192.0.2.1]",
        "[::1",
        "[::1]80",
        "::1]:80",
        "fe80::1%eth0",
        "[fe80::1%eth0]",
        "/run/socket",
        "_hidden",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert address_in(text) is None


@each_row(
    "address, text",
    [
        (Address("127.0.0.1", 80), "127.0.0.1:80"),
        (Address("::1", 80), "[::1]:80"),
        (Address("::1"), "::1"),
        (Address("unix:/run/a:b"), "unix:/run/a:b"),
        (Address("unix:"), "unix:"),
    ],
)
def test_an_address_as_text(address: Address, text: str) -> None:
    assert str(address) == text
    assert address.is_unix is text.startswith("unix:")
    assert address == (address.host, address.port)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([FOR, PROTO, STANDARD]),
            st.lists(st.sampled_from(PIECES) | st.characters(max_codepoint=255)).map("".join),
        )
    )
)
def test_any_fields(fields: list[tuple[str, str]]) -> None:
    """Whatever they say, somebody is found whom the proxy may have named, or they disagree."""
    try:
        client, secure = client_of(*(name + value for name, value in fields))
    except BadHead:
        return
    assert address_in(client) is not None
    assert secure in (None, True, False)


def test_long_lists_take_little_time() -> None:
    """As much as a head may hold, of what is trusted or nearly an address."""
    began = time.perf_counter()
    for field in ("10.0.0.1," * 1800, "[" * 2**14, ":" * 2**14, "1.1.1.1:_" + "." * 2**14):
        client_of(FOR + field)
        client_of(STANDARD + f"for={field}")
    assert time.perf_counter() - began < 1
