"""`connect`: sends lines from standard input, and prints the messages that come back."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import attrs
import trio

from trio_draftws import DRAFTS, CloseCode, Connection, ConnectionLost, HandshakeError, is_wss_url

from ._command import Command
from ._interactive import (
    Binary,
    HexWriter,
    InputHandler,
    LineSource,
    MessageWriter,
    Print,
    ScreenWriter,
    closing_note,
    opening_note,
)
from ._prompt import Prompt, can_edit_lines
from ._signals import until_signal
from ._stdio import CommandError, LineReader, LineWriter
from ._target import Target, add_target_options, with_target
from ._trace import Trace, TracedWriter

SECONDS_OF_QUIET = 5
CLOSED_WITH_CODE = 3
"""The exit status if the server closed with another code than 1000 and 1001."""
HINT = (
    "trio-draftws: the extra `cli` brings line editing and history: pip install 'trio_draftws[cli]'"
)


async def connect(
    *, target: Target, draft: str, binary: Binary | None = None, verbose: bool = False
) -> int:
    """Talks to a server until both sides have ended; returns the exit status.

    Args:
        target: the server.
        draft: the draft to speak, or `"auto"`.
        binary: how to print binary messages; by default in hex at a terminal, else raw.
        verbose: whether to show on standard error what goes over the wire.

    Raises:
        CommandError: no connection could be opened, it broke, or the server closed it with another
            code than 1000 and 1001.
    """
    trace = Trace(write=LineWriter.of_stderr().write_line) if verbose else None
    session = _Session(target=target, draft=draft, binary=binary, trace=trace)
    signum = await until_signal(session.run)
    if session.remark and sys.stderr is not None:
        print(f"trio-draftws: {session.remark}", file=sys.stderr)
    return 0 if signum is None else 128 + signum


@attrs.define(eq=False, kw_only=True)
class _Session:
    """One connection, from dialling to the end."""

    target: Target
    draft: str
    binary: Binary | None
    trace: Trace | None
    remark: str = attrs.field(default="", init=False)
    """What to print at the end of a successful run."""

    async def run(self) -> None:
        stdin, stdout = LineReader.of_stdin(), LineWriter.of_stdout()
        note: Print | None = None
        if sys.stdin is not None and sys.stdin.isatty():
            # If the messages go elsewhere than to a terminal, the notes go to standard error.
            note = (stdout if stdout.escapes else LineWriter.of_stderr()).write_line
        connection: Connection | None = None
        try:
            async with AsyncExitStack() as stack:
                connection = await self._open(stack)
                try:
                    if note is None:
                        await self._exchange(connection, stdin, self._plain_writer(stdout))
                    else:
                        await self._interact(connection, stdin, stdout, note)
                except CommandError as error:
                    raise CommandError(f"{error}{self._hint(connection)}") from error
            if hint := self._hint(connection):
                self.remark = f"nothing came{hint}"
            _check_code(connection)
        finally:
            # Shielded, so that it is done after Ctrl-C too; a second Ctrl-C ends the process.
            with trio.CancelScope(shield=True):
                if self.trace is not None:
                    self.trace.end()
                    await self.trace.flush()
                if note is not None and connection is not None:
                    text = closing_note(connection)
                    if text is not None:
                        await note(text)

    async def _open(self, stack: AsyncExitStack) -> Connection:
        watch = None if self.trace is None else self.trace.watch
        try:
            opening = self.target.open(self.draft, watch)
            connection = await stack.enter_async_context(opening)
        except (HandshakeError, ValueError) as error:
            raise CommandError(str(error)) from error
        if self.trace is not None:
            self.trace.opened(connection, self.target.url)
            await self.trace.flush()
        return connection

    def _hint(self, connection: Connection) -> str:
        """Returns which drafts to try, if `auto` may have taken the server's draft for another.

        So it may be if the requests of several drafts look the same, and the server ended the
        connection without having sent anything.
        """
        spoken = connection.draft
        answered = connection.close_received or connection.statistics().messages_received
        alike = [
            f"--draft {draft.aliases[0] if draft.aliases else draft.name}"
            for draft in DRAFTS
            if draft.auto_order is None
            and draft.opening.request_body
            and set(draft.announced_by) & set(spoken.announced_by)
        ]
        if answered or not alike or not connection.closed or self.draft != "auto":
            return ""
        return f"; it opened as {spoken.name}, as servers of others do: try {' or '.join(alike)}"

    def _plain_writer(self, stdout: LineWriter) -> MessageWriter:
        return HexWriter(output=stdout) if self.binary == "hex" else stdout

    async def _interact(
        self, connection: Connection, stdin: LineReader, stdout: LineWriter, note: Print
    ) -> None:
        on_screen = stdout.escapes  # it is a terminal
        prompt = Prompt(stdout=stdout) if on_screen and can_edit_lines() else None
        if on_screen and prompt is None:
            await note(HINT)
        await note(f"{opening_note(connection)}; /help lists commands")
        failure: CommandError | None = None
        async with trio.open_nursery() as nursery:
            lines: LineSource = stdin
            if prompt is not None:
                lines, note = prompt, prompt.print
                nursery.start_soon(prompt.run)
                if self.trace is not None and sys.stderr.isatty():
                    self.trace.write_to(prompt.print)
            messages: MessageWriter = self._plain_writer(stdout)
            if on_screen:
                messages = ScreenWriter(print=note, binary=self.binary or "hex")
            handler = InputHandler(connection=connection, note=note, nursery=nursery)
            try:
                await self._exchange(connection, lines, messages, handler.handle)
            except CommandError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _exchange(
        self,
        connection: Connection,
        lines: LineSource,
        messages: MessageWriter,
        handle: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        # TLS cannot end one side alone. A draft without a closing frame then has no way to say that
        # everything was sent, so messages are printed until none has come for a while.
        can_end_sending = connection.draft.closing_handshake or not is_wss_url(self.target.url)
        if self.trace is not None:
            messages = TracedWriter(messages=messages, trace=self.trace)
        await _exchange(connection, lines, messages, can_end_sending=can_end_sending, handle=handle)


async def _exchange(
    connection: Connection,
    lines: LineSource,
    messages: MessageWriter,
    *,
    can_end_sending: bool,
    handle: Callable[[str], Awaitable[bool]] | None = None,
) -> None:
    """Sends the lines and writes the messages until both have ended.

    Args:
        connection: an open connection.
        lines: where lines come from.
        messages: where messages go.
        can_end_sending: whether the peer can see that everything was sent.
        handle: called with each line instead of sending it; returns False to stop sending.

    Raises:
        CommandError: the connection broke, or standard input or output did.
    """
    failure: CommandError | None = None
    max_quiet = math.inf

    async def send_lines() -> None:
        nonlocal failure, max_quiet
        try:
            while (line := await lines.read_line()) is not None:
                if handle is None:
                    await connection.send(line)
                elif not await handle(line):
                    break
            else:
                await connection.send_close()
        except CommandError as error:
            failure = error
            nursery.cancel_scope.cancel()
        except trio.BrokenResourceError:
            return  # the task that receives raises the reason
        if not can_end_sending:
            max_quiet = SECONDS_OF_QUIET
            nursery.cancel_scope.deadline = trio.current_time() + max_quiet

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_lines)
        try:
            async for message in connection:
                await messages.write_line(message)
                nursery.cancel_scope.deadline = trio.current_time() + max_quiet
        except CommandError as error:
            failure = error
        except trio.BrokenResourceError as error:
            if not _ended_after_our_close(error, connection):
                failure = CommandError(str(error))
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _check_code(connection: Connection) -> None:
    """Checks that the server closed with 1000, 1001 or no code, or repeated ours.

    Raises:
        CommandError: it closed with another code.
    """
    theirs, ours = connection.close_received, connection.close_sent
    if theirs is None or theirs.code in (None, CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY):
        return
    if connection.closed_by == "client" and ours is not None and ours.code == theirs.code:
        return
    why = f": {theirs.reason!r}" if theirs.reason else ""
    raise CommandError(f"the server closed with code {theirs.code}{why}", CLOSED_WITH_CODE)


def _ended_after_our_close(error: trio.BrokenResourceError, connection: Connection) -> bool:
    """Returns whether the server ended the stream after our Close, without one of its own.

    Many servers of 2010 did so. After a reset, messages may have been lost.
    """
    return (
        isinstance(error, ConnectionLost)
        and error.__cause__ is None
        and connection.close_sent is not None
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_target_options(parser)
    parser.add_argument(
        "--draft",
        metavar="NAME",
        default="auto",
        help="the draft to speak; auto tries one after another, newest first "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--binary",
        choices=["hex", "raw"],
        help="how to print binary messages (default: in hex at a terminal, otherwise raw)",
    )
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="show heads and frames as they go over the wire, on standard error",
    )


COMMAND = Command(
    name="connect",
    help="send lines from standard input, and print the messages that come back",
    description="Sends each line of standard input as a message, and prints each message that "
    "comes back on a line. At the end of the input it closes the connection, and prints messages "
    "until the server ends it too.",
    add_options=_add_options,
    run=with_target(connect),
)
