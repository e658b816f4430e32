"""The times and sizes that bound a connection: the same for client, server and `accept`."""

from __future__ import annotations

import sys
from typing import Annotated, TypedDict

import attrs

from .keywords import Default


def check_number(name: str, value: object) -> None:
    """Checks for a number that fits a float, since times are floats.

    Raises:
        TypeError: it is not an int or a float.
        ValueError: it is an int too large for a float.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        given = "; math.inf stands for no limit" if value is None else f": {value!r}"
        raise TypeError(f"{name} must be a number, not {type(value).__name__}{given}")
    if isinstance(value, int) and value > sys.float_info.max:
        raise ValueError(f"{name} is more than a float can hold; math.inf stands for no limit")


def check_positive(name: str, value: float) -> None:
    """Checks for a number above 0, as every time and size has to be.

    Raises:
        TypeError: it is not a number.
        ValueError: it is not above 0, or too large for a float.
    """
    check_number(name, value)
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value}")


class LimitSettings(TypedDict, total=False):
    """Times are in seconds, sizes in bytes; `math.inf` means no limit."""

    handshake_timeout: Annotated[float, Default(10, check_positive)]
    """Seconds for everything before the connection is open. On a client: DNS, TCP, the proxy, TLS
    and the opening handshake together, anew for each redirect and for each draft that it tries. On
    a server: TLS, the request, `conn_headers` or `http_handler`, and the answer together."""
    close_timeout: Annotated[float, Default(5, check_positive)]
    """Seconds for the closing handshake."""
    idle_timeout: Annotated[float, Default(3600, check_positive)]
    """Seconds without a byte from the peer, after which the connection is dropped."""
    ping_interval: Annotated[float, Default(20, check_positive)]
    """Seconds without a byte from the peer, after which it is pinged, if the draft has pings."""
    ping_timeout: Annotated[float, Default(20, check_positive)]
    """Seconds without a byte after such a ping, after which the connection is dropped."""
    write_timeout: Annotated[float, Default(60, check_positive)]
    """Seconds in which the peer takes nothing of what waits to be written, after which the
    connection is dropped. A peer that takes something may be as slow as it likes."""
    max_message_size: Annotated[int, Default(2**20, check_positive)]
    """The most bytes that a received message may have, after decompression."""
    max_head_size: Annotated[int, Default(2**14, check_positive)]
    """The most bytes that the peer's HTTP head may have: the request's, or the answer's."""


@attrs.frozen(kw_only=True)
class Limits:
    """The values of `LimitSettings`, as one object."""

    handshake_timeout: float
    close_timeout: float
    idle_timeout: float
    ping_interval: float
    ping_timeout: float
    write_timeout: float
    max_message_size: float
    max_head_size: float

    @classmethod
    def of(cls, settings: LimitSettings) -> Limits:
        """Picks them from the settings, which must be complete."""
        return cls(**{name: settings[name] for name in attrs.fields_dict(cls)})  # type: ignore[literal-required]


# One that is missing there would be accepted and do nothing.
assert attrs.fields_dict(Limits).keys() == LimitSettings.__annotations__.keys()
