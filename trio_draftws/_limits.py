"""The times and sizes that bound a connection: the same for client, server and `accept`."""

from __future__ import annotations

import sys

import attrs


def check_number(name: str, value: object) -> None:
    """For what can be compared and reckoned with.

    Raises:
        TypeError: it is no number.
        ValueError: it is a whole number beyond all floats, which times are.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        given = "; math.inf stands for no limit" if value is None else f": {value!r}"
        raise TypeError(f"{name} must be a number, not {type(value).__name__}{given}")
    if isinstance(value, int) and value > sys.float_info.max:
        raise ValueError(f"{name} is more than a float can hold; math.inf stands for no limit")


def check_positive(name: str, value: float) -> None:
    """For what every time and size must be.

    Raises:
        TypeError: it is no number.
        ValueError: it is not above 0, or more than a float can hold.
    """
    check_number(name, value)
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value}")


def positive(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    """The same for attrs."""
    check_positive(attribute.name, value)


@attrs.frozen(kw_only=True)
class Limits:
    """Times in seconds, sizes in bytes; `math.inf` for none."""

    handshake_timeout: float = attrs.field(validator=positive)
    close_timeout: float = attrs.field(validator=positive)
    idle_timeout: float = attrs.field(validator=positive)
    ping_interval: float = attrs.field(validator=positive)
    ping_timeout: float = attrs.field(validator=positive)
    write_timeout: float = attrs.field(validator=positive)
    max_message_size: float = attrs.field(validator=positive)
    max_head_size: float = attrs.field(validator=positive)
