"""The settings of a connection, whichever side opened it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from trio_draftws._settings.checks import check_compression
from trio_draftws._settings.keywords import Default
from trio_draftws._settings.limits import LimitSettings
from trio_draftws.drafts import COMPRESSION, Compression

from .instrument import Instrument


class ConnectionSettings(LimitSettings, total=False):
    """The settings that both sides of a connection have."""

    compression: Annotated[Compression | None, Default(COMPRESSION, check_compression)]
    """How to compress messages, where the draft and the peer can: by default with
    permessage-deflate; None, not at all. `connection.compression` says what was agreed."""
    instruments: Annotated[Iterable[Instrument], Default(())]
    """Objects whose methods are called when something happens to the connection, as for metrics."""
