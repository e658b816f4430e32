"""How messages are compressed: what one side wants, and what both settled on."""

from __future__ import annotations

from typing import Any

import attrs


def _within(low: int, high: int, *, or_none: bool = False) -> Any:
    """A validator: a whole number from `low` to `high`."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is None and or_none:
            return
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{attribute.name} must be an int, not {type(value).__name__}")
        if not low <= value <= high:
            raise ValueError(f"{attribute.name} must be {low} to {high}, not {value}")

    return check


def _flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


@attrs.frozen(kw_only=True)
class Compression:
    """How to compress messages, as `compression=` takes it.

    The extension is permessage-deflate (RFC 7692). It is used where the draft has room for it
    (`draft.compression`) and the other side takes it too. No memory is taken for it before the
    first compressed message, in each direction.

    Raises:
        ValueError: a setting is out of range.
        TypeError: a setting is of another type.
    """

    server_no_context_takeover: bool = attrs.field(default=False, validator=_flag)
    """Whether the server begins each message anew: less memory, and less is saved."""
    client_no_context_takeover: bool = attrs.field(default=False, validator=_flag)
    """Whether the client does."""
    server_max_window_bits: int | None = attrs.field(
        default=None, validator=_within(8, 15, or_none=True)
    )
    """How far back the server looks for repetitions, as a power of two of bytes: 8 to 15.

    None leaves it to the other side. A server then agrees to what the client asks for and looks
    back 12 at most, where compressing takes 32 KiB a connection in place of 144.
    """
    client_max_window_bits: int | None = attrs.field(
        default=None, validator=_within(8, 15, or_none=True)
    )
    """How far back the client looks. A server can only ask for it where the client offered it."""
    level: int = attrs.field(default=6, validator=_within(0, 9))
    """What we spend on it: 1 is fast, 9 is thorough, 0 compresses nothing."""
    mem_level: int = attrs.field(default=5, validator=_within(1, 9))
    """What memory our compressor takes beside its window: 1 is the least, 9 the fastest."""
    threshold: int = attrs.field(default=256, validator=_within(0, 2**63))
    """Messages of fewer bytes go as they are, unless `send` is told to compress them."""
    webkit: bool = attrs.field(default=False, validator=_flag)
    """Whether to speak x-webkit-deflate-frame too, which Safari 6 to 14 had in its place."""


COMPRESSION = Compression()
"""What is used where nobody says otherwise."""


@attrs.frozen
class Window:
    """How one side compresses."""

    bits: int
    """How far back it looks: a power of two of bytes."""
    takeover: bool
    """Whether a message may repeat what messages before it said."""


@attrs.frozen
class Deflate:
    """What both sides settled on."""

    field: str
    """As the answer's Sec-WebSocket-Extensions has it."""
    client: Window
    """How the client compresses: at most so, as the server has it."""
    server: Window
    """How the server does. On a server it is what its own compressor does, which may look back less
    far than `field` says."""
    settings: Compression
    """Our own: how our compressor does it."""
    per_frame: bool = False
    """Whether each frame is compressed for itself, as in x-webkit-deflate-frame."""

    def applies_to(self, size: int, compress: bool | None) -> bool:
        """Whether a message of `size` bytes is compressed; `compress` is the sender's own word."""
        if compress is None:
            compress = size >= self.settings.threshold
        # An empty one would only grow.
        return compress and size > 0
