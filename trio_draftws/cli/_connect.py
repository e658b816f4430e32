"""`connect`: lines from standard input are sent, what comes back is printed."""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import attrs
import trio

from trio_draftws import DRAFTS, CloseCode, Connection, ConnectionLost, HandshakeError, is_wss_url

from ._client import Target
from ._interactive import (
    Assembler,
    Binary,
    InHex,
    Lines,
    Print,
    Screen,
    Typed,
    closing_note,
    opening_note,
)
from ._prompt import Prompt, can_edit_lines
from ._signals import until_signal
from ._stdio import CommandError, LineReader, LineWriter
from ._tap import BehindTrace, Trace

SECONDS_OF_QUIET = 5
CLOSED_WITH_CODE = 3
"""The exit status where the server closed with a code that says more than that it is done."""
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
        binary: how binary messages are shown; by default in hex to a person, else as they are.
        verbose: whether what goes over the wire is shown on standard error.

    Raises:
        CommandError: there was no connection, it broke, or the server closed it with another code
            than 1000 and 1001.
    """
    talk = _Talk(
        target, draft, binary, Trace(LineWriter.of_stderr().write_line) if verbose else None
    )
    signum = await until_signal(talk.run)
    if talk.remark and sys.stderr is not None:
        print(f"trio-draftws: {talk.remark}", file=sys.stderr)
    return 0 if signum is None else 128 + signum


@attrs.define(eq=False)
class _Talk:
    """One conversation, from dialling to the end."""

    target: Target
    draft: str
    binary: Binary | None
    trace: Trace | None
    remark: str = attrs.field(default="", init=False)
    """What to say at the end, though all went well."""

    async def run(self) -> None:
        stdin, stdout = LineReader.of_stdin(), LineWriter.of_stdout()
        note: Print | None = None
        if sys.stdin is not None and sys.stdin.isatty():
            # Where messages are kept from the terminal, nothing else stands among them.
            note = (stdout if stdout.escapes else LineWriter.of_stderr()).write_line
        connection: Connection | None = None
        try:
            async with AsyncExitStack() as stack:
                connection = await self._open(stack)
                try:
                    if note is None:
                        await self._converse(connection, stdin, self._plain(stdout))
                    else:
                        await self._talk_to_person(connection, stdin, stdout, note)
                except CommandError as error:
                    raise CommandError(f"{error}{self._other_draft(connection)}") from error
            if hint := self._other_draft(connection):
                self.remark = f"nothing came{hint}"
            _check_code(connection)
        finally:
            # Also after Ctrl-C; a second one ends even a terminal that takes nothing.
            with trio.CancelScope(shield=True):
                if self.trace is not None:
                    self.trace.end()
                    await self.trace.flush()
                if note is not None and connection is not None:
                    how = closing_note(connection)
                    if how is not None:
                        await note(how)

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

    def _other_draft(self, connection: Connection) -> str:
        """What to name where `auto` found a draft, and the server went without a word in it: it
        may speak another, whose requests look the same.
        """
        spoken = connection.draft
        said = connection.close_received or connection.statistics().messages_received
        alike = [
            f"--draft {draft.aliases[0] if draft.aliases else draft.name}"
            for draft in DRAFTS
            if draft.auto_order is None
            and draft.opening.request_body
            and set(draft.announced_by) & set(spoken.announced_by)
        ]
        if said or not alike or not connection.closed or self.draft != "auto":
            return ""
        return f"; it opened as {spoken.name}, as servers of others do: try {' or '.join(alike)}"

    def _plain(self, stdout: LineWriter) -> Assembler:
        return InHex(stdout) if self.binary == "hex" else stdout

    async def _talk_to_person(
        self, connection: Connection, stdin: LineReader, stdout: LineWriter, note: Print
    ) -> None:
        on_screen = stdout.escapes  # it is a terminal
        prompt = Prompt(stdout) if on_screen and can_edit_lines() else None
        if on_screen and prompt is None:
            await note(HINT)
        await note(f"{opening_note(connection)}; /help lists commands")
        failure: CommandError | None = None
        async with trio.open_nursery() as nursery:
            lines: Lines = stdin
            if prompt is not None:
                lines, note = prompt, prompt.print
                nursery.start_soon(prompt.run)
                if self.trace is not None and sys.stderr.isatty():
                    self.trace.write = prompt.print
            messages = Screen(note, self.binary or "hex") if on_screen else self._plain(stdout)
            try:
                act = Typed(connection, note, nursery).act
                await self._converse(connection, lines, messages, act)
            except CommandError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _converse(
        self,
        connection: Connection,
        lines: Lines,
        messages: Assembler,
        act: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        # TLS cannot end one side alone. A draft without a closing frame has then no way to say
        # that it has sent everything; the server is heard out until it has been quiet for a while.
        can_end_sending = connection.draft.closing_handshake or not is_wss_url(self.target.url)
        if self.trace is not None:
            messages = BehindTrace(messages, self.trace)
        await _converse(connection, lines, messages, can_end_sending=can_end_sending, act=act)


async def _converse(
    connection: Connection,
    lines: Lines,
    messages: Assembler,
    *,
    can_end_sending: bool,
    act: Callable[[str], Awaitable[bool]] | None = None,
) -> None:
    """Does `act` with each line, by default sends it, and writes the messages until both end.

    `act` says whether it left something to be sent after it.
    """
    failure: CommandError | None = None
    patience = math.inf

    async def send_lines() -> None:
        nonlocal failure, patience
        try:
            while (line := await lines.read_line()) is not None:
                if act is None:
                    await connection.send(line)
                elif not await act(line):
                    break
            else:
                await connection.send_close()
        except CommandError as error:
            failure = error
            nursery.cancel_scope.cancel()
        except trio.BrokenResourceError:
            return  # whoever receives will say why
        if not can_end_sending:
            patience = SECONDS_OF_QUIET
            nursery.cancel_scope.deadline = trio.current_time() + patience

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_lines)
        try:
            async for message in connection:
                await messages.write_line(message)
                nursery.cancel_scope.deadline = trio.current_time() + patience
        except CommandError as error:
            failure = error
        except trio.BrokenResourceError as error:
            if not _is_goodbye(error, connection):
                failure = CommandError(str(error))
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _check_code(connection: Connection) -> None:
    """Whether the server closed because it was done (1000) or went away (1001); or repeated ours.

    Raises:
        CommandError: it said something else.
    """
    theirs, ours = connection.close_received, connection.close_sent
    if theirs is None or theirs.code in (None, CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY):
        return
    if connection.closed_by == "client" and ours is not None and ours.code == theirs.code:
        return
    why = f": {theirs.reason!r}" if theirs.reason else ""
    raise CommandError(f"the server closed with code {theirs.code}{why}", CLOSED_WITH_CODE)


def _is_goodbye(error: trio.BrokenResourceError, connection: Connection) -> bool:
    """Whether the peer only left its closing frame out, as many servers of the time did.

    A reset is something else: what was on its way may be lost.
    """
    return (
        isinstance(error, ConnectionLost)
        and error.__cause__ is None
        and connection.close_sent is not None
    )
