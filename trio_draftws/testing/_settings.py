"""The settings that both sides of a connection have, as keywords."""

from __future__ import annotations

from typing import TypedDict

from trio_draftws.drafts import Compression


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
