"""`probe`: which drafts a server speaks, found out by opening a connection in each.

Some handshakes prove little. The requests of hixie-76, whatwg-2010-08 and hybi-01 look the same,
and servers of their time do not look at what hybi-02 adds: a server answers all four of them in
the one draft it knows. Only a message shows which; so without an echo such a draft is "perhaps".
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import attrs
import trio

from trio_draftws import (
    DRAFTS,
    Connection,
    Draft,
    HandshakeError,
    Rejected,
)
from trio_draftws._ask import waits_for_bodies

from ._client import Target
from ._signals import until_signal
from ._stdio import CommandError, LineWriter, escape

SPEAKS = {True: "yes", False: "no", None: "perhaps"}
ECHOED = {True: "yes", False: "no", None: "-"}
COLUMNS = ("DRAFT", "SPEAKS", "ECHO", "TIME", "DETAIL")
MAX_DETAIL = 100


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
    speaks: bool | None = None
    """None: perhaps."""


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
        timeout: seconds for each opening, each message and each close.
        as_json: whether to print JSON, and no table.

    Raises:
        CommandError: there is no server, or it cannot be asked like that.
    """
    probing = _Probing(target, drafts, echo, timeout, as_json)
    token = waits_for_bodies.set(False)
    try:
        signum = await until_signal(probing.run)
    finally:
        waits_for_bodies.reset(token)
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
    """Whether a stream ever came about, with TLS where it is to have that."""

    async def run(self) -> None:
        stdout = LineWriter.of_stdout()
        findings = judged([await self._try(draft) for draft in self.drafts or DRAFTS])
        if not self._reached:
            # Whatever was to be asked for, no draft can ask for it.
            raise CommandError(findings[0].detail)
        self.succeeded = any(finding.echo if self.echo else finding.opened for finding in findings)
        # What climbs down from the newest asks for drafts that were not to be tried.
        auto = await self._climb_down() if self.drafts is None else None
        if self.as_json:
            lines = [json.dumps(report(self.target.url, findings, auto))]
        else:
            lines = [*table(findings), *remarks(findings, auto, climbed=self.drafts is None)]
        for line in lines:
            await stdout.write_line(escape(line))

    def _open(self, draft: Draft | str) -> AbstractAsyncContextManager[Connection]:
        def note(stream: trio.abc.Stream) -> trio.abc.Stream:
            self._reached = True
            return stream

        return self.target.open(
            draft, note, handshake_timeout=self.timeout, close_timeout=self.timeout
        )

    async def _try(self, draft: Draft) -> Finding:
        """Opens in that draft, and has closed when it returns."""
        started = trio.current_time()
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._open(draft))
            except (HandshakeError, ValueError) as error:
                if isinstance(error, HandshakeError) and not self._reached:
                    # There is no server: to say so once will do.
                    raise CommandError(str(error)) from error
                return Finding(
                    draft=draft,
                    opened=False,
                    detail=str(error),
                    status=error.status if isinstance(error, Rejected) else None,
                    seconds=trio.current_time() - started,
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
            except (HandshakeError, ValueError):
                return None
            return connection.draft.name


def judged(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, with what all of them together say of each."""
    echoes = any(finding.echo for finding in findings)

    def speaks(finding: Finding) -> bool | None:
        if not finding.opened or finding.echo:
            return finding.opened
        if echoes and finding.echo is False:
            return False  # a server that sends back what it understands
        # Bytes behind the head of a request are in the drafts whose handshakes prove little.
        return None if finding.draft.opening.request_body else True

    return [attrs.evolve(finding, speaks=speaks(finding)) for finding in findings]


def table(findings: Sequence[Finding]) -> list[str]:
    """The findings for people: a line for each, with the columns below each other."""
    rows = [COLUMNS]
    for finding in findings:
        facts = [finding.detail]
        if finding.subprotocol is not None:
            facts.append(f"subprotocol {finding.subprotocol}")
        if finding.compression is not None:
            facts.append(finding.compression)
        detail = escape(", ".join(facts))
        rows.append(
            (
                finding.draft.name,
                SPEAKS[finding.speaks],
                ECHOED[finding.echo],
                f"{finding.seconds * 1000:.1f} ms",
                detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows]


def remarks(findings: Sequence[Finding], auto: str | None, *, climbed: bool) -> list[str]:
    """What stands below the table."""
    lines = []
    perhaps = [finding for finding in findings if finding.speaks is None]
    if perhaps:
        names = ", ".join(finding.draft.name for finding in perhaps)
        how = (
            "no message came back that would tell"
            if perhaps[0].echo is False
            else "only a message can tell (--echo)"
        )
        lines.append(
            f"perhaps: a server of one of these drafts answers all of them: {names}; {how}"
        )
    if climbed:
        lines.append(f"auto: {auto or 'finds none'}")
    return lines


def report(url: str, findings: Sequence[Finding], auto: str | None) -> dict[str, Any]:
    """The findings for programs."""
    return {
        "url": url,
        "auto": auto,
        "drafts": [
            {
                "draft": finding.draft.name,
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
