"""A prompt with line editing and history; messages are printed above it.

prompt_toolkit runs on asyncio, so it gets a thread of its own, with an event loop that runs until
the prompt is stopped. Everything is printed from that loop, so that nothing is ever written into
the prompt.
"""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import trio

from ._stdio import LineWriter, escape

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

PROMPT = "> "
# Printing waits when so many lines are queued. They are printed together, since drawing the prompt
# again takes longer than printing many lines above it.
MANY_LINES = 200


def _session() -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output import create_output
    from prompt_toolkit.output.vt100 import Vt100_Output

    output = create_output()
    if isinstance(output, Vt100_Output):
        # A terminal that is asked for the cursor's position answers on the input; a prompt of one
        # line does not need it.
        output.enable_cpr = False
    return PromptSession(PROMPT, output=output)


def can_edit_lines() -> bool:
    """Returns whether prompt_toolkit is installed."""
    try:
        import prompt_toolkit  # noqa: F401
    except ImportError:
        return False
    return True


@attrs.define(eq=False, kw_only=True)
class Prompt:
    """A prompt at which lines are typed, while `run` is running."""

    _stdout: LineWriter
    _session: PromptSession[str] = attrs.field(factory=_session, init=False)
    _typed: tuple[trio.MemorySendChannel[str | None], trio.MemoryReceiveChannel[str | None]] = (
        attrs.field(factory=lambda: trio.open_memory_channel[str | None](math.inf), init=False)
    )
    _started: trio.Event = attrs.field(factory=trio.Event, init=False)
    _room: trio.Event | None = attrs.field(default=None, init=False)
    """Set when there is room again for lines to print; None while nobody is waiting for it."""

    # Used by both threads
    _to_print: deque[str] = attrs.field(factory=deque, init=False)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)
    """None before the loop starts, and after it has ended."""
    _stopped: bool = attrs.field(default=False, init=False)

    # Used only by the thread with the prompt
    _prompting: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _printing: asyncio.Task[None] | None = attrs.field(default=None, init=False)

    async def run(self) -> None:
        """Shows the prompt until it is cancelled; then it restores the terminal."""
        token = trio.lowlevel.current_trio_token()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop_when_cancelled)
                await trio.to_thread.run_sync(asyncio.run, self._prompt(token))
                nursery.cancel_scope.cancel()
        finally:
            # Lines that were added while the loop was ending
            self._print_all()
            self._notify_of_room()

    async def _stop_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._stopped = True
            self._in_loop(self._stop)

    async def _prompt(self, token: trio.lowlevel.TrioToken) -> None:
        """Runs in the prompt's thread; passes on each line, and None at the end of the input."""
        self._prompting = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        token.run_sync_soon(self._started.set)
        try:
            line: str | None = None if self._stopped else ""
            while line is not None:
                try:
                    line = await self._session.prompt_async(
                        handle_sigint=False, set_exception_handler=False
                    )
                except EOFError:
                    line = None
                except KeyboardInterrupt:
                    # During line editing the terminal sends no signals. (`os.kill` would end the
                    # process on Windows.)
                    signal.raise_signal(signal.SIGINT)
                    break
                token.run_sync_soon(self._typed[0].send_nowait, line)
            # The loop runs on, since there may be more to print.
            while not self._stopped:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        finally:
            self._loop = None
            self._print_all()

    def _stop(self) -> None:
        """Ends the prompt, in its thread. An unfinished line stays on the screen."""
        application = self._session.app
        application.erase_when_done = not application.current_buffer.text
        if self._prompting is not None:
            self._prompting.cancel()

    def _in_loop(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(function)
            except RuntimeError:
                pass  # the loop has just been closed

    async def read_line(self) -> str | None:
        """Returns the next line, or None at the end of the input (Ctrl-D).

        Cancelling it loses nothing.
        """
        return await self._typed[1].receive()

    async def print(self, line: str) -> None:
        """Prints a line above the prompt, soon; waits while many are queued.

        Raises:
            CommandError: standard output cannot be written.
        """
        await self._started.wait()
        if self._loop is None:
            await self._stdout.write_line(line)
            return
        self._to_print.append(line)
        token = trio.lowlevel.current_trio_token()
        self._in_loop(lambda: self._start_printing(token))
        while len(self._to_print) >= MANY_LINES and self._loop is not None:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def _notify_of_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    def _start_printing(self, token: trio.lowlevel.TrioToken) -> None:
        if self._to_print and (self._printing is None or self._printing.done()):
            self._printing = asyncio.ensure_future(self._print_above(token))

    async def _print_above(self, token: trio.lowlevel.TrioToken) -> None:
        from prompt_toolkit.application import run_in_terminal

        while self._to_print:
            await run_in_terminal(self._print_all)
            token.run_sync_soon(self._notify_of_room)

    def _print_all(self) -> None:
        lines = []
        while self._to_print:
            lines.append(escape(self._to_print.popleft()))
        if lines:
            try:
                print(_printable("\n".join(lines), sys.stdout.encoding), flush=True)
            except OSError:
                pass  # the terminal is gone, and the input will end


def _printable(text: str, encoding: str) -> str:
    """Returns `text` with escapes for what a terminal of that encoding cannot show."""
    return text.encode(encoding, "backslashreplace").decode(encoding)
