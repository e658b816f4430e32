"""Who the client is, by the fields that proxies add: Forwarded (RFC 7239) and X-Forwarded-For.

Each proxy adds the address that its own client has, at the end of the list. Only what a trusted
proxy has added is true, so the list is read from its end:

1. The peer is a trusted proxy, so the last entry is true. If that is a trusted proxy, too, then so
   is the entry before it, and so on. The first that is not trusted is the client.
2. An entry that is no address, as `unknown`, ends this: the client is then the last one that is
   known, which is a trusted proxy. So does the beginning of the list.
3. Commas and semicolons divide, also between quotes. No address contains one, and so a quote that
   a client opens and never closes cannot hide what the proxies write behind it.
4. A proxy that writes one kind of field may let a client's own field of the other kind through. So
   if both kinds are present, they have to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from .address import Address, address_in
from .head import BadHead
from .headers import Headers

FORWARDED = "Forwarded"
FORWARDED_FOR = "X-Forwarded-For"
FORWARDED_PROTO = "X-Forwarded-Proto"

# What proxies call the two schemes of HTTP, and those of a WebSocket (RFC 7239 section 5.4)
_SECURE = {"https": True, "wss": True, "http": False, "ws": False}


@attrs.frozen
class ForwardedClient:
    """The client that trusted proxies speak for."""

    address: Address
    secure: bool | None
    """Whether it came over TLS; None if no proxy says so."""


def forwarded_client(
    headers: Headers, peer: Address, trusts: Callable[[Address], bool]
) -> ForwardedClient:
    """Returns the client that `peer`, a trusted proxy, speaks for; without such fields `peer`.

    Raises:
        BadHead: the two kinds of fields disagree.
    """
    standard = _standard(headers, peer, trusts) if FORWARDED in headers else None
    if FORWARDED_FOR not in headers and FORWARDED_PROTO not in headers:
        return standard or ForwardedClient(peer, None)
    usual = _usual(headers, peer, trusts)
    if standard is None:
        return usual
    secure = usual.secure if standard.secure is None else standard.secure
    if FORWARDED_FOR in headers and standard.address.host != usual.address.host:
        raise BadHead(f"{FORWARDED} and {FORWARDED_FOR} name different clients")
    if usual.secure not in (None, secure):
        raise BadHead(f"{FORWARDED} and {FORWARDED_PROTO} name different schemes")
    return ForwardedClient(standard.address, secure)


def _standard(
    headers: Headers, peer: Address, trusts: Callable[[Address], bool]
) -> ForwardedClient:
    elements = [_pairs_of(element) for element in _entries(headers, FORWARDED)]
    nodes = (address_in(element.get("for", "")) for element in elements)
    client, walked = _walk(nodes, peer, trusts)
    # The proxy that names the client says how that has come.
    return ForwardedClient(client, _SECURE.get(elements[walked - 1].get("proto", "").lower()))


def _usual(headers: Headers, peer: Address, trusts: Callable[[Address], bool]) -> ForwardedClient:
    client, walked = _walk(map(address_in, _entries(headers, FORWARDED_FOR)), peer, trusts)
    schemes = _entries(headers, FORWARDED_PROTO)
    # Most proxies replace this field, and some add to it as to the other.
    index = min(max(walked, 1), len(schemes)) - 1
    return ForwardedClient(client, _SECURE.get(schemes[index].lower()) if schemes else None)


def _walk(
    nodes: Iterable[Address | None], peer: Address, trusts: Callable[[Address], bool]
) -> tuple[Address, int]:
    """Returns the client, and how many of the entries were read."""
    client, walked = peer, 0
    for node in nodes:
        walked += 1
        if node is None:
            break
        client = node
        if not trusts(client):
            break
    return client, walked


def _entries(headers: Headers, name: str) -> list[str]:
    """Returns the entries of a list, the last one first."""
    if name not in headers:
        return []
    return [entry.strip(" \t") for entry in reversed(headers[name].split(","))]


def _pairs_of(element: str) -> dict[str, str]:
    """Returns what one proxy says (RFC 7239 section 4); nothing if it says a thing twice."""
    pairs: dict[str, str] = {}
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        name = name.strip(" \t").lower()
        if name in pairs:
            return {}
        value = value.strip(" \t")
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        pairs[name] = value[1:-1] if quoted else value
    return pairs
