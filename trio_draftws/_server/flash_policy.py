"""The policy file that a Flash player requests before it opens a socket.

Browsers without WebSocket got it through Flash (web-socket-js, from 2009 on). Before such a player
connects, it sends 23 bytes that are not HTTP to the same port, and connects only if the policy that
it gets allows that. A policy is XML, followed by a zero byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

import attrs
import trio

from trio_draftws._transport.sockets import DirectStream

FlashPolicy: TypeAlias = bool | str | bytes | Iterable[str]
"""Which Flash players may connect: all or none, those of a whole policy, or of some domains."""

# A player sends a zero byte after it; that is not waited for, since a test by hand may omit it.
POLICY_REQUEST = b"<policy-file-request/>"

_DOMAIN = re.compile(r"\*|(?:\*\.)?[0-9A-Za-z.-]+")


@attrs.frozen
class PolicyFile:
    """What to answer: a complete policy, or one made from domains and the port."""

    domains: tuple[str, ...] = ()
    written: bytes | None = None

    @classmethod
    def of(cls, policy: FlashPolicy) -> PolicyFile | None:
        """Makes it from the setting; None if players get no answer.

        Raises:
            TypeError: the setting is of the wrong type.
            ValueError: it is not a valid policy, or one of several is not a domain.
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
        """Returns the whole answer to a player on that stream."""
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
    """Returns the local port as a policy writes it; `*`, all ports, if there is none."""
    if isinstance(stream, DirectStream):
        address = stream.socket.getsockname()
        if isinstance(address, tuple):
            return str(address[1])
    return "*"
