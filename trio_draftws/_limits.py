"""The times and sizes that bound a connection: the same for client, server and `accept`."""

from __future__ import annotations

import attrs


def positive(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    """What every time and size must be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{attribute.name} must be a number, not {type(value).__name__}")
    if not value > 0:
        raise ValueError(f"{attribute.name} must be above 0, not {value}")


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
