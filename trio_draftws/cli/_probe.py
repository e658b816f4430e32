"""`probe`: which drafts a server speaks, found out by opening a connection in each.

Some handshakes prove little. The requests of hixie-76, whatwg-2010-08 and hybi-01 look the same,
and servers of their time do not look at what hybi-02 adds: a server answers all four of them in
the one draft it knows. Only a message shows which; so without an echo such a draft is "perhaps".
Each draft is told of as soon as it was asked; what the others say of it comes at the end.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import attrs
import trio

from trio_draftws import (
    DRAFTS,
    Connection,
    DialFailed,
    Draft,
    HandshakeError,
    Rejected,
)
from trio_draftws._client.handshake import waits_for_refusal_bodies

from ._client import Target
from ._signals import until_signal
from ._stdio import CommandError, LineWriter, escape

SPEAKS = {True: "yes", False: "no", None: "perhaps"}
NOT_KNOWN = "not known"
ECHOED = {True: "yes", False: "no", None: "-"}
COLUMNS = ("DRAFT", "SPEAKS", "ECHO", "TIME", "DETAIL")
WIDTHS = (max(len(draft.name) for draft in DRAFTS), len(NOT_KNOWN), 4, len("10000.0 ms"))
MAX_DETAIL = 100
# A server that has another draft's frames before it may never answer a close.
CLOSE_TIMEOUT = 0.5
ECHO_WARNING = (
    "trio-draftws: --echo can harm servers of 2010: one that answers in one draft is sent the "
    "frames of another"
)


@attrs.frozen(kw_only=True)
class Finding:
    """What came of one draft."""

    draft: Draft
    opened: bool
    detail: str
    status: int | None = None
    subprotocol: str | None = None
    compression: str | None = None
    echo: bool | None = None
    """Whether a message came back; None where none was sent."""
    seconds: float
    """How long the opening took, or its failure."""
    reached: bool = True
    """Whether the server was asked; where it had gone, or the draft cannot ask so, it was not."""
    speaks: bool | None = None
    """None: perhaps, or not known."""

    @property
    def verdict(self) -> str:
        """Whether it is spoken, in words."""
        return SPEAKS[self.speaks] if self.reached else NOT_KNOWN


async def probe(
    *,
    target: Target,
    drafts: Sequence[Draft] | None,
    echo: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Prints which drafts a server speaks; returns the exit status.

    It is 0 if the server opened at least one draft; with `echo` if a message came back in at
    least one; else 1.

    Args:
        target: the server.
        drafts: those to try; all for None.
        echo: whether to send a message in each.
        timeout: seconds for each opening and each message.
        as_json: whether to print JSON, and no table.

    Raises:
        CommandError: there is no server, or it cannot be asked like that.
    """
    probing = _Probing(target, drafts, echo, timeout, as_json)
    token = waits_for_refusal_bodies.set(False)
    try:
        signum = await until_signal(probing.run)
    finally:
        waits_for_refusal_bodies.reset(token)
    if signum is not None:
        return 128 + signum
    return 0 if probing.succeeded else 1


@attrs.define(eq=False)
class _Probing:
    target: Target
    drafts: Sequence[Draft] | None
    echo: bool
    timeout: float
    as_json: bool
    succeeded: bool = False
    _reached: bool = False
    """Whether a stream came about for this draft, with TLS where it is to have that."""
    _found: list[Finding] = attrs.field(factory=list, init=False)

    async def run(self) -> None:
        stdout = LineWriter.of_stdout()
        if self.echo and sys.stderr is not None:
            print(ECHO_WARNING, file=sys.stderr, flush=True)
        told: list[Finding] = []
        for draft in self.drafts or DRAFTS:
            self._found.append(await self._try(draft))
            # Before the first that was reached, it may be that no draft can ask for that.
            if not self.as_json and any(finding.reached for finding in self._found):
                news = judged(self._found)[len(told) :]
                for line in [*([] if told else [line_of(COLUMNS)]), *map(row, news)]:
                    await stdout.write_line(line)
                told += news
        findings = judged(self._found)
        if not any(finding.reached for finding in findings):
            raise CommandError(findings[0].detail)
        self.succeeded = any(finding.echo if self.echo else finding.opened for finding in findings)
        # What climbs down from the newest asks for drafts that were not to be tried.
        auto = await self._climb_down() if self.drafts is None else None
        if self.as_json:
            lines = [json.dumps(report(self.target.url, findings, auto))]
        else:
            lines = remarks(told, findings)
            if self.drafts is None:
                lines.append(f"auto: {auto or ('finds none' if self._reached else NOT_KNOWN)}")
        for line in lines:
            await stdout.write_line(escape(line))

    def _open(self, draft: Draft | str) -> AbstractAsyncContextManager[Connection]:
        self._reached = False

        def note(stream: trio.abc.Stream) -> trio.abc.Stream:
            self._reached = True
            return stream

        close_timeout = min(self.timeout, CLOSE_TIMEOUT)
        return self.target.open(
            draft, note, handshake_timeout=self.timeout, close_timeout=close_timeout
        )

    async def _try(self, draft: Draft) -> Finding:
        """Opens in that draft, and has closed when it returns."""
        started = trio.current_time()
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._open(draft))
            except (HandshakeError, ValueError) as error:
                nobody = not self._reached and not any(found.reached for found in self._found)
                if nobody and isinstance(error, HandshakeError):
                    # There is no server: to say so once will do.
                    raise CommandError(str(error)) from error
                return Finding(
                    draft=draft,
                    opened=False,
                    detail=str(error),
                    status=error.status if isinstance(error, Rejected) else None,
                    seconds=trio.current_time() - started,
                    reached=self._reached,
                )
            opened = Finding(
                draft=draft,
                opened=True,
                detail="opened",
                status=101,
                subprotocol=connection.subprotocol,
                compression=connection.compression,
                seconds=trio.current_time() - started,
            )
            return await self._send(connection, opened) if self.echo else opened

    async def _send(self, connection: Connection, finding: Finding) -> Finding:
        """Sends a message, and says whether it came back. Others may come before it."""
        message = f"probe {secrets.token_hex(4)}"
        why = f"nothing came back within {self.timeout:g} s"
        try:
            with trio.move_on_after(self.timeout):
                await connection.send(message)
                async for answer in connection:
                    if answer == message:
                        return attrs.evolve(finding, echo=True)
                    why = "something else came back"
                else:
                    why = "the server closed"
        except trio.BrokenResourceError as error:
            why = str(error)
        return attrs.evolve(finding, echo=False, detail=f"opened, but {why}")

    async def _climb_down(self) -> str | None:
        """The draft that `draft="auto"` finds, if it finds one."""
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._open("auto"))
            except (HandshakeError, ValueError) as error:
                if isinstance(error, DialFailed):
                    self._reached = False
                return None
            return connection.draft.name


def judged(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with what all of them together say of each."""
    echoes = any(finding.echo for finding in findings)

    def speaks(finding: Finding) -> bool | None:
        if not finding.reached:
            return None
        if not finding.opened or finding.echo:
            return finding.opened
        if echoes and finding.echo is False:
            return False  # a server that sends back what it understands
        # Bytes behind the head of a request are in the drafts whose handshakes prove little.
        return None if finding.draft.opening.request_body else True

    return [attrs.evolve(finding, speaks=speaks(finding)) for finding in findings]


def line_of(cells: Sequence[str]) -> str:
    """A line of the table; its columns are as wide as they may need to be, since it is printed
    before the next is known.
    """
    return "  ".join([*map(str.ljust, cells, WIDTHS), cells[-1]])


def row(finding: Finding) -> str:
    """A finding for people."""
    facts = [finding.detail]
    if finding.subprotocol is not None:
        facts.append(f"subprotocol {finding.subprotocol}")
    if finding.compression is not None:
        facts.append(finding.compression)
    detail = escape(", ".join(facts))
    return line_of(
        (
            finding.draft.name,
            finding.verdict,
            ECHOED[finding.echo],
            f"{finding.seconds * 1000:.1f} ms",
            detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…",
        )
    )


def remarks(told: Sequence[Finding], findings: Sequence[Finding]) -> list[str]:
    """What stands below the table: what all of the findings say, and `told` did not say yet."""
    lines = []
    pairs = zip(told, findings, strict=True)
    changed = [after.draft.name for before, after in pairs if before.verdict != after.verdict]
    if changed:
        lines.append(f"no after all: {', '.join(changed)}; what was sent came back in others alone")
    perhaps = [finding for finding in findings if finding.reached and finding.speaks is None]
    if perhaps:
        names = ", ".join(finding.draft.name for finding in perhaps)
        how = (
            "no message came back that would tell"
            if perhaps[0].echo is False
            else "only a message can tell (--echo)"
        )
        answers = (
            f"a server of one of these drafts answers all of them: {names}"
            if len(perhaps) > 1
            else f"servers of other drafts answer {names} too"
        )
        lines.append(f"perhaps: {answers}; {how}")
    return lines


def report(url: str, findings: Sequence[Finding], auto: str | None) -> dict[str, Any]:
    """The findings for programs."""
    return {
        "url": url,
        "auto": auto,
        "drafts": [
            {
                "draft": finding.draft.name,
                "asked": finding.reached,
                "speaks": finding.speaks,
                "echo": finding.echo,
                "status": finding.status,
                "detail": finding.detail,
                "subprotocol": finding.subprotocol,
                "compression": finding.compression,
                "seconds": round(finding.seconds, 6),
            }
            for finding in findings
        ],
    }
