"""`probe`: finds out which drafts a server speaks by opening a connection in each.

Some handshakes prove little. The requests of hixie-76, whatwg-2010-08 and hybi-01 look the same,
and servers of 2010 ignore what hybi-02 adds, so such a server answers all four in the one draft
that it knows. Only a message can tell which; without an echo the verdict is "perhaps". The result
for each draft is printed at once. Whatever the later results change about it is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import math
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
from trio_draftws.drafts import allowed_drafts

from ._command import Command
from ._signals import until_signal
from ._stdio import CommandError, LineWriter, escape
from ._target import Target, add_target_options, with_target

SPEAKS = {True: "yes", False: "no", None: "perhaps"}
NOT_KNOWN = "not known"
ECHOED = {True: "yes", False: "no", None: "-"}
COLUMNS = ("DRAFT", "SPEAKS", "ECHO", "TIME", "DETAIL")
WIDTHS = (max(len(draft.name) for draft in DRAFTS), len(NOT_KNOWN), 4, len("10000.0 ms"))
MAX_DETAIL = 100
# In seconds. A server that takes the frames for another draft's may never answer a Close.
CLOSE_TIMEOUT = 0.5
ECHO_WARNING = (
    "trio-draftws: --echo can harm servers of 2010: one that answers in one draft is sent the "
    "frames of another"
)


@attrs.frozen(kw_only=True)
class Finding:
    """The result for one draft."""

    draft: Draft
    opened: bool
    detail: str
    status: int | None = None
    subprotocol: str | None = None
    compression: str | None = None
    echo: bool | None = None
    """Whether a message came back; None if none was sent."""
    seconds: float
    """How long the opening handshake took, or how long until it failed."""
    reached: bool = True
    """Whether the server was asked: not if it had gone, or the draft cannot express the request."""
    speaks: bool | None = None
    """Whether the server speaks the draft; None for "perhaps" and for "not known"."""

    @property
    def verdict(self) -> str:
        """`speaks`, in words."""
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

    It is 0 if the server opened a connection in at least one draft, or with `echo` if a message
    came back in at least one; else 1.

    Args:
        target: the server.
        drafts: the drafts to try; None for all.
        echo: whether to send a message in each.
        timeout: the seconds for each opening handshake and each message.
        as_json: whether to print JSON instead of a table.

    Raises:
        CommandError: the server cannot be reached, or no draft can express the request.
    """
    probing = _Probing(target=target, drafts=drafts, echo=echo, timeout=timeout, as_json=as_json)
    token = waits_for_refusal_bodies.set(False)
    try:
        signum = await until_signal(probing.run)
    finally:
        waits_for_refusal_bodies.reset(token)
    if signum is not None:
        return 128 + signum
    return 0 if probing.succeeded else 1


@attrs.define(eq=False, kw_only=True)
class _Probing:
    target: Target
    drafts: Sequence[Draft] | None
    echo: bool
    timeout: float
    as_json: bool
    succeeded: bool = False
    _reached: bool = False
    """Whether the last attempt got as far as a stream, TLS included."""
    _found: list[Finding] = attrs.field(factory=list, init=False)

    async def run(self) -> None:
        stdout = LineWriter.of_stdout()
        if self.echo and sys.stderr is not None:
            print(ECHO_WARNING, file=sys.stderr, flush=True)
        printed: list[Finding] = []
        for draft in self.drafts or DRAFTS:
            self._found.append(await self._try(draft))
            # Nothing is printed before the first was reached: perhaps none is, which is an error.
            if not self.as_json and any(finding.reached for finding in self._found):
                new = with_verdicts(self._found)[len(printed) :]
                header = [] if printed else [format_line(COLUMNS)]
                for line in [*header, *map(format_finding, new)]:
                    await stdout.write_line(line)
                printed += new
        findings = with_verdicts(self._found)
        if not any(finding.reached for finding in findings):
            raise CommandError(findings[0].detail)
        self.succeeded = any(finding.echo if self.echo else finding.opened for finding in findings)
        # Not with `--drafts`, since `auto` tries others too
        auto = await self._try_auto() if self.drafts is None else None
        if self.as_json:
            lines = [json.dumps(report(self.target.url, findings, auto))]
        else:
            lines = remarks(printed, findings)
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
        """Opens a connection in that draft, and closes it again."""
        started = trio.current_time()
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._open(draft))
            except (HandshakeError, ValueError) as error:
                nobody = not self._reached and not any(found.reached for found in self._found)
                if nobody and isinstance(error, HandshakeError):
                    # There is no server, which is the same for all drafts.
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
        """Sends a message, and returns whether it came back. Others may come before it."""
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

    async def _try_auto(self) -> str | None:
        """Returns the draft that `draft="auto"` finds, or None."""
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._open("auto"))
            except (HandshakeError, ValueError) as error:
                if isinstance(error, DialFailed):
                    self._reached = False
                return None
            return connection.draft.name


def with_verdicts(findings: Sequence[Finding]) -> list[Finding]:
    """Returns the findings with `speaks` set, for which all of them are looked at."""
    echoes = any(finding.echo for finding in findings)

    def speaks(finding: Finding) -> bool | None:
        if not finding.reached:
            return None
        if not finding.opened or finding.echo:
            return finding.opened
        if echoes and finding.echo is False:
            return False  # the server echoes, but not in this draft
        # The drafts whose handshakes prove little are those with bytes after the request's head.
        return None if finding.draft.opening.request_body else True

    return [attrs.evolve(finding, speaks=speaks(finding)) for finding in findings]


def format_line(cells: Sequence[str]) -> str:
    """Returns a line of the table; its widths are fixed, as each line is printed at once."""
    return "  ".join([*map(str.ljust, cells, WIDTHS), cells[-1]])


def format_finding(finding: Finding) -> str:
    """Returns a finding as a line of the table."""
    facts = [finding.detail]
    if finding.subprotocol is not None:
        facts.append(f"subprotocol {finding.subprotocol}")
    if finding.compression is not None:
        facts.append(finding.compression)
    detail = escape(", ".join(facts))
    return format_line(
        (
            finding.draft.name,
            finding.verdict,
            ECHOED[finding.echo],
            f"{finding.seconds * 1000:.1f} ms",
            detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}…",
        )
    )


def remarks(printed: Sequence[Finding], findings: Sequence[Finding]) -> list[str]:
    """Returns the lines below the table: what the findings say that the `printed` ones did not."""
    lines = []
    pairs = zip(printed, findings, strict=True)
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
    """Returns the findings as JSON for programs."""
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


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_target_options(parser)
    parser.add_argument(
        "--drafts",
        metavar="NAME,NAME",
        type=_drafts,
        help="try only these drafts (default: all)",
    )
    parser.add_argument(
        "--echo",
        action="store_true",
        help="also send a message in each draft, and report whether it comes back; only that can "
        "tell apart the drafts whose requests look the same. It can hang or crash servers of 2010, "
        "which may answer in one draft and get the frames of another",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=5.0,
        help="for each opening handshake and each message (default: %(default)s)",
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON")


def _drafts(text: str) -> tuple[Draft, ...]:
    try:
        return allowed_drafts(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, not {text!r}")
    return seconds


COMMAND = Command(
    name="probe",
    help="find out which drafts a server speaks",
    description="Opens a connection in each draft, one after another, and prints which of them the "
    "server speaks.",
    add_options=_add_options,
    run=with_target(probe),
)
