"""How messages are compressed: what one side wants, and what both agreed on."""

from __future__ import annotations

import re
import zlib
from functools import cache
from importlib import import_module
from typing import Any, Literal, TypeAlias

import attrs

Backend: TypeAlias = Literal["zlib", "isal"]
"""A library that compresses and inflates."""

# The levels of each backend. Level 0 of isal is left out: it makes short messages longer.
LEVELS: dict[Backend, range] = {"zlib": range(10), "isal": range(1, 4)}
# Their defaults; docs/compression.rst has the reasons.
DEFAULT_LEVELS: dict[Backend, int] = {"zlib": 2, "isal": 1}
DEFAULT_MEM_LEVELS: dict[Backend, int] = {"zlib": 5, "isal": 3}


# Before this, isal's inflater could lose what follows a final block that came in two parts.
OLDEST_ISAL = (1, 9)


@cache
def library_of(backend: Backend) -> Any:
    """Returns the module that compresses and inflates: zlib, or one with the same functions.

    Raises:
        ImportError: it is not installed, or too old.
    """
    if backend == "zlib":
        return zlib
    try:
        library, version = import_module("isal.isal_zlib"), import_module("isal").__version__
    except ImportError as error:
        raise ImportError(
            "isal needs a package of that name: pip install 'trio_draftws[speed]'"
        ) from error
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_ISAL:
        raise ImportError(f"isal {version} is too old: pip install --upgrade 'trio_draftws[speed]'")
    return library


def _backend(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, not {type(value).__name__}")
    if value not in LEVELS:
        raise ValueError(f"{attribute.name} must be 'zlib' or 'isal', not {value!r}")
    library_of(value)


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


def _level(instance: Compression, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    levels = LEVELS[instance.backend]
    try:
        _within(levels[0], levels[-1])(instance, attribute, value)
    except ValueError as error:
        raise ValueError(f"{error}, with the backend {instance.backend!r}") from None


@attrs.frozen(kw_only=True)
class Compression:
    """How to compress messages: the value of `compression=`.

    The extension is permessage-deflate (RFC 7692). It is used if the draft has extensions
    (`draft.compression`) and the other side supports it too. In each direction it takes no memory
    before the first compressed message.

    Raises:
        ValueError: a setting is out of range.
        TypeError: a setting is of another type.
        ImportError: a backend is not installed, or too old.
    """

    backend: Backend = attrs.field(default="zlib", validator=_backend)
    """What compresses the messages that are sent: ``"zlib"``, or ``"isal"``, which needs the extra
    ``speed``.

    isal takes a fifth of the time for long messages, and 165 KiB of memory for a connection. The
    other side does not notice. A window of 8 bits is left to zlib.
    """
    inflate_backend: Backend = attrs.field(default="zlib", validator=_backend)
    """What inflates the messages that are received: ``"zlib"``, or ``"isal"``.

    isal takes half of the time for long messages, more for short ones, and 86 KiB of memory for a
    connection of a server, where zlib takes 18.
    """
    server_no_context_takeover: bool = attrs.field(default=False, validator=_flag)
    """Whether the server compresses each message by itself: less memory, and less is saved."""
    client_no_context_takeover: bool = attrs.field(default=False, validator=_flag)
    """Whether the client compresses each message by itself."""
    server_max_window_bits: int | None = attrs.field(
        default=None, validator=_within(8, 15, or_none=True)
    )
    """How far back the server looks for repetitions, as a power of two of bytes: 8 to 15.

    None leaves it to the other side. A server then agrees to what the client asks for; with zlib it
    uses 13 at most, which takes 54 KiB of memory for a connection instead of 150.
    """
    client_max_window_bits: int | None = attrs.field(
        default=None, validator=_within(8, 15, or_none=True)
    )
    """How far back the client looks. A server can ask for it only if the client offered it."""
    level: int | None = attrs.field(default=None, validator=_level)
    """How much time our compressor spends. zlib has 0 to 9: 1 is fast, 9 is thorough, 0 compresses
    nothing. isal has 1 to 3. None means 2 with zlib, and 1 with isal."""
    mem_level: int | None = attrs.field(default=None, validator=_within(1, 9, or_none=True))
    """How much memory our compressor takes in addition to its window: 1 is the least, 9 the most.
    More is not always faster. None means 5 with zlib, and 3 with isal."""
    threshold: int = attrs.field(default=256, validator=_within(0, 2**63))
    """Messages of fewer bytes are sent uncompressed, except by `send(compress=True)`."""
    webkit: bool = attrs.field(default=False, validator=_flag)
    """Whether to support x-webkit-deflate-frame too, which Safari 6 to 14 had instead."""

    @property
    def levels(self) -> tuple[int, int]:
        """`level` and `mem_level`, with the backend's defaults in place of None."""
        level, mem_level = self.level, self.mem_level
        return (
            DEFAULT_LEVELS[self.backend] if level is None else level,
            DEFAULT_MEM_LEVELS[self.backend] if mem_level is None else mem_level,
        )


COMPRESSION = Compression()
"""The default."""


@attrs.frozen
class Window:
    """How one side compresses."""

    bits: int
    """How far back it looks: a power of two of bytes."""
    takeover: bool
    """Whether a message may refer to earlier ones."""


@attrs.frozen
class Deflate:
    """What both sides agreed on."""

    field: str
    """The answer's Sec-WebSocket-Extensions."""
    client: Window
    """How the client compresses; for a server, the most that the client may do."""
    server: Window
    """How the server compresses. On a server it is its own compressor's window, which may be
    smaller than that in `field`."""
    settings: Compression
    """The settings of our own compressor."""
    per_frame: bool = False
    """Whether each frame is compressed by itself, as in x-webkit-deflate-frame."""

    def applies_to(self, size: int, compress: bool | None) -> bool:
        """Whether a message of `size` bytes is compressed; `compress` is the argument of `send`."""
        if compress is None:
            compress = size >= self.settings.threshold
        # An empty message would only grow.
        return compress and size > 0
