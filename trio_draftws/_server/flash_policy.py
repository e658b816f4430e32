"""The policy that a Flash player asks for before it opens a socket.

Browsers without WebSocket had it through Flash (web-socket-js, from 2009 on). Before such a player
connects, it sends 23 bytes that are no HTTP to the same port, and connects only if it gets a policy
that lets it: XML, and a zero byte behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

import attrs
import trio

from trio_draftws._transport.sockets import DirectStream

FlashPolicy: TypeAlias = "bool | str | bytes | Iterable[str]"
"""Whether Flash players may connect: all, those that a policy names, or those of these domains."""

# A player's zero byte follows; whoever tries it by hand may leave that out.
POLICY_REQUEST = b"<policy-file-request/>"

_DOMAIN = re.compile(r"\*|(?:\*\.)?[0-9A-Za-z.-]+")


@attrs.frozen
class PolicyFile:
    """What to answer: a policy of the caller's, or these domains for the port that was asked."""

    domains: tuple[str, ...] = ()
    written: bytes | None = None

    @classmethod
    def of(cls, policy: FlashPolicy) -> PolicyFile | None:
        """From what the caller said; None where players get no answer.

        Raises:
            TypeError: it is nothing that says so.
            ValueError: it is no policy, or no domain.
        """
        if isinstance(policy, bool):
            return cls(("*",)) if policy else None
        if isinstance(policy, str):
            policy = policy.encode()
        if isinstance(policy, bytes):
            return cls(written=_checked(policy))
        if not isinstance(policy, Iterable):
            raise TypeError(f"flash_policy is True, a policy or a list of domains, not {policy!r}")
        domains = tuple(policy)
        for domain in domains:
            if not _is_domain(domain):
                raise ValueError(
                    "flash_policy lists domains, as 'example.com' or '*.example.com', "
                    f"not {domain!r}"
                )
        return cls(domains)

    def answer(self, stream: trio.abc.Stream) -> bytes:
        """All that a player is told on that stream."""
        if self.written is not None:
            return self.written + b"\0"
        port = _port_of(stream)
        allowed = "".join(
            f'<allow-access-from domain="{domain}" to-ports="{port}"/>' for domain in self.domains
        )
        return (
            f'<?xml version="1.0"?><cross-domain-policy>{allowed}</cross-domain-policy>\0'
        ).encode()


def _is_domain(value: object) -> bool:
    return isinstance(value, str) and _DOMAIN.fullmatch(value) is not None


def _checked(written: bytes) -> bytes:
    written = written.removesuffix(b"\0")
    if not written.lstrip().startswith(b"<"):
        example = written[:80].decode("utf-8", "replace")
        raise ValueError(
            f"flash_policy is a whole policy, in XML, or a list of domains, as [{example!r}]"
        )
    if b"\0" in written:
        raise ValueError("flash_policy has a zero byte within, where a player would stop to read")
    return written


def _port_of(stream: trio.abc.Stream) -> str:
    """The port that was asked, as a policy names it; all of them where there is none."""
    if isinstance(stream, DirectStream):
        address = stream.socket.getsockname()
        if isinstance(address, tuple):
            return str(address[1])
    return "*"
