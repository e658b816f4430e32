"""The settings that both sides of a connection have, as keywords."""

from __future__ import annotations

from typing import TypedDict

from trio_draftws._limits import Limits
from trio_draftws.drafts import COMPRESSION, Compression


class Settings(TypedDict, total=False):
    """Settings that `open_websocket` and `accept` both have; where they are not given, their
    defaults are meant. Times are in seconds, sizes in bytes.
    """

    compression: Compression | None
    handshake_timeout: float
    close_timeout: float
    idle_timeout: float
    ping_interval: float
    ping_timeout: float
    write_timeout: float
    max_message_size: int
    max_head_size: int


DEFAULTS: Settings = {
    "compression": COMPRESSION,
    "handshake_timeout": 10,
    "close_timeout": 5,
    "idle_timeout": 3600,
    "ping_interval": 20,
    "ping_timeout": 20,
    "write_timeout": 60,
    "max_message_size": 2**20,
    "max_head_size": 2**14,
}


def complete(settings: Settings) -> tuple[Compression | None, Limits]:
    """The settings, the missing ones by default, in the shape that connections want."""
    all_of_them = {**DEFAULTS, **settings}
    compression = all_of_them.pop("compression")
    assert compression is None or isinstance(compression, Compression)
    # TypedDicts lose their types when they are spread; `Limits` checks them.
    return compression, Limits(**all_of_them)  # type: ignore[arg-type]
