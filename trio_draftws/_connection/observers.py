"""What the parts of a connection know of what stands above them."""

from __future__ import annotations

from typing import Protocol


class SenderObserver(Protocol):
    """What a sender reports to."""

    def on_waiting(self) -> None:
        """Called when bytes, or a sender, begin to wait until the peer takes some."""
        ...

    def on_cannot_write(self) -> None:
        """Called when nothing can be written any more."""
        ...


class ReceiverObserver(Protocol):
    """What a receiver reports to."""

    def on_end(self) -> None:
        """Called when the input has ended."""
        ...

    def on_receiver_left(self) -> None:
        """Called when somebody stops receiving whom the scope had found waiting."""
        ...


class ConnectionInstruments(Protocol):
    """The instruments of a scope, as the connections below them know them."""

    @property
    def hears_frames(self) -> bool:
        """Whether any of them listens to messages, control frames or bytes."""
        ...

    def tell(self, name: str, /, *facts: object) -> None:
        """Calls the method of that name of each instrument that has one."""
        ...


class NobodyObserves:
    """Takes the place of an endpoint that is closed. Otherwise it and its parts would refer to each
    other, and stay in memory until the garbage collector runs.
    """

    def on_waiting(self) -> None: ...
    def on_cannot_write(self) -> None: ...
    def on_end(self) -> None: ...
    def on_receiver_left(self) -> None: ...


NOBODY_OBSERVES = NobodyObserves()
