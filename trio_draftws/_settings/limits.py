"""The times and sizes that bound a connection: the same for client, server and `accept`."""

from __future__ import annotations

import sys
from typing import Annotated, TypedDict

import attrs

from .keywords import Default


def check_number(name: str, value: object) -> None:
    """For what can be compared and reckoned with. Raises: TypeError: it is no number. ValueError:
    it is a whole number beyond all floats, which times are.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        given = "; math.inf stands for no limit" if value is None else f": {value!r}"
        raise TypeError(f"{name} must be a number, not {type(value).__name__}{given}")
    if isinstance(value, int) and value > sys.float_info.max:
        raise ValueError(f"{name} is more than a float can hold; math.inf stands for no limit")


def check_positive(name: str, value: float) -> None:
    """For what every time and size must be. Raises: TypeError: it is no number. ValueError: it is
    not above 0, or more than a float can hold.
    """
    check_number(name, value)
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value}")


class LimitSettings(TypedDict, total=False):
    """Times are in seconds and sizes in bytes; `math.inf` stands for no limit."""

    handshake_timeout: Annotated[float, Default(10, check_positive)]
    """Seconds for all that comes before the connection is open: on a client DNS, TCP, the proxy,
    TLS and the opening handshake together, for each place it is sent to and each draft it tries; on
    a server TLS, the request, and `conn_headers` or `http_handler` and its answer together."""
    close_timeout: Annotated[float, Default(5, check_positive)]
    """Seconds for the closing handshake."""
    idle_timeout: Annotated[float, Default(3600, check_positive)]
    """Seconds without a byte from the peer after which it is given up."""
    ping_interval: Annotated[float, Default(20, check_positive)]
    """Seconds of silence after which the peer is pinged, where the draft has pings."""
    ping_timeout: Annotated[float, Default(20, check_positive)]
    """Seconds without a byte after such a ping, after which the peer is given up."""
    write_timeout: Annotated[float, Default(60, check_positive)]
    """Seconds in which the peer takes nothing of what waits for it, after which it is given up. It
    may be as slow as it likes while it takes something."""
    max_message_size: Annotated[int, Default(2**20, check_positive)]
    """The most bytes that a received message may have."""
    max_head_size: Annotated[int, Default(2**14, check_positive)]
    """The most bytes that the head of the request, or of the answer, may have."""


@attrs.frozen(kw_only=True)
class Limits:
    """The values of `LimitSettings`, for the parts below."""

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
        """Those among the settings, which must be complete."""
        return cls(**{name: settings[name] for name in attrs.fields_dict(cls)})  # type: ignore[literal-required]
