"""Small breaks of `drafts/_protocol/`, each of which the tests of a connection's life have to find.

`python -m tests.drafts.protocol.mutants NAME...` breaks it so and says what finds it: mostly a life
by chance, sometimes only a test of `tests/drafts/test_protocol_*.py`. Where the text that is to be
replaced does not stand there once, the break has to be written anew.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import attrs
import hypothesis.stateful  # noqa: F401 - once for all processes
import pytest
import trio  # noqa: F401

LIVES = 500
BROKEN = Path(__file__).parents[3] / "trio_draftws" / "drafts" / "_protocol"


@attrs.frozen
class Mutant:
    """One break: a text, and what stands there instead."""

    name: str
    old: str
    new: str
    test: str = ""
    """Which tests find it; a life by chance, if none are named."""

    def apply(self) -> None:
        """Makes whoever imports the package from now on get its broken text."""
        texts = {path: path.read_text() for path in BROKEN.glob("*.py")}
        paths = [path for path, text in texts.items() for _ in range(text.count(self.old))]
        if len(paths) != 1:
            sys.exit(f"to be written anew: its text stands there {len(paths)} times")
        path = paths[0]
        broken = compile(texts[path].replace(self.old, self.new), str(path), "exec")
        load = SourceFileLoader.get_code

        def load_broken(loader: SourceFileLoader, name: str) -> CodeType | None:
            return broken if loader.path == str(path) else load(loader, name)

        SourceFileLoader.get_code = load_broken  # type: ignore[assignment,method-assign]
        assert "trio_draftws" not in sys.modules

    def found_by(self) -> str | None:
        """What finds it; None if nothing does."""
        if self.test:
            path = Path(__file__).parent.parent / f"test_protocol{self.test}.py"
            options = ["-qx", "--no-header", "--assert=plain", "-p", "no:cacheprovider"]
            return path.stem if pytest.main([*options, str(path)]) == 1 else None
        # Only now, since it takes names from the broken module.
        from .chances import walk

        for seed in range(LIVES):
            try:
                walk(seed)
            except Exception as error:  # noqa: BLE001
                return f"life {seed}: {type(error).__name__}"
        return None


MUTANTS = [
    # The tables
    Mutant(
        "CLOSE_SENT never becomes CLOSED",
        "self.state = State.CLOSED if sent else State.CLOSE_RECEIVED",
        "self.state = State.CLOSE_SENT if sent else State.CLOSE_RECEIVED",
    ),
    Mutant(
        "our answer leaves CLOSE_RECEIVED",
        "self.state = State.CLOSED if received else State.CLOSE_SENT",
        "self.state = State.CLOSE_RECEIVED if received else State.CLOSE_SENT",
        test="_tables",
    ),
    Mutant(
        "CLOSE_SENT can still send",
        "        self._stop_sending()\n        self._put_close(close)",
        "        self._put_close(close)",
    ),
    Mutant(
        "a second Close",
        "if self.close_sent is None and self.draft.closing_handshake:",
        "if self.draft.closing_handshake:",
    ),
    Mutant(
        "a Close with a code where there are none",
        "self.close_sent = close if self.draft.close_status else Close()",
        "self.close_sent = close",
        test="_tables",
    ),
    Mutant(
        "the answer repeats the reason",
        'answer=attrs.evolve(close, reason="")',
        "answer=close",
    ),
    Mutant(
        "who answers has closed",
        "self.closed_by = self.closed_by or (self._peer if received else self.role)",
        "self.closed_by = self.closed_by or self.role",
        test="_tables",
    ),
    Mutant(
        "the stream stays open where a close ends it",
        "if self.role in self.draft.close_ends_stream:",
        "if not self.draft.closing_handshake:",
        test="_tables",
    ),
    Mutant(
        "an end of TCP in a message is a close",
        "if not self.draft.closing_handshake and not self.codec.mid_message:",
        "if not self.draft.closing_handshake:",
        test="_messages",
    ),
    Mutant(
        "a violation says no Close",
        "answer = None if code is None else Close(code, reason)",
        "answer = None",
    ),
    Mutant(
        "what is given up stays open",
        "        if end.kind is EndKind.GIVEN_UP:\n            self._output.abort(end.reason)\n",
        "",
    ),
    Mutant(
        "giving up behind an end leaves it owed",
        "            self._note_end_applied(self.end, now)\n            self._output.abort(reason)",
        "            self._output.abort(reason)",
        test="_tables",
    ),
    # Rule 1
    Mutant(
        "the latest end is the one",
        "        if self.end is not None:\n            return\n        self.end: End | None = end",
        "        self.end: End | None = end",
    ),
    Mutant(
        "messages are added behind the end",
        "        if self.end is not None:\n            return\n        last = events[-1]",
        "        last = events[-1]",
        test="_answers",
    ),
    Mutant(
        "unread messages are dropped at the end",
        "        self.end: End | None = end\n        self._answer.note_end(now)",
        "        self.end: End | None = end\n        self.unread.clear()\n"
        "        self._answer.note_end(now)",
    ),
    Mutant(
        "messages of one chunk are turned round",
        "            events.reverse()\n",
        "",
    ),
    Mutant(
        "messages of the next chunk come first",
        "            self.unread[:0] = events",
        "            self.unread += events",
    ),
    Mutant(
        "the last message in front of a Close is lost",
        "            del events[-1]",
        "            del events[-2:]",
    ),
    Mutant(
        "the skipped message takes the next one along",
        "return events[position + 1 :]",
        "return events[position + 2 :]",
    ),
    Mutant(
        "what is skipped is received",
        "            self._skipping = self.end is None\n",
        "            self._skipping = False\n",
    ),
    Mutant(
        "closing keeps messages",
        "        if self.close_at == math.inf:\n            events",
        "        if self.close_at:\n            events",
    ),
    # Rule 2
    Mutant("the grace is doubled", "return min(GRACE, self", "return 2 * min(GRACE, self"),
    Mutant(
        "the grace is always two seconds",
        "return min(GRACE, self._timeouts.close_timeout / 2)",
        "return GRACE",
    ),
    Mutant(
        "no grace for what is unread",
        "            return max(self._ended_at, self._message_taken_at) + self.grace\n",
        "            return now\n",
    ),
    Mutant(
        "taking a message gives no further grace",
        "        self._message_taken_at = now\n",
        "        pass\n",
    ),
    Mutant(
        "nobody waits for those who received nothing",
        "        if handed_out == 0:\n            return now\n",
        "",
    ),
    Mutant(
        "every look gives a further grace",
        "if handed_out != self._handed_out_when_left or math.isinf(self._unattended_since):",
        "if True:",
        test="_answers",
    ),
    Mutant(
        "what is owed waits for the reader alone",
        "elif not self.end_applied and self._answer_at <= now:",
        "elif False:",
    ),
    Mutant(
        "the reader's coming to the end means nothing",
        "        elif not self.end_applied:\n            self.apply_end(now)",
        "        elif not self.end_applied:\n            self._schedule_answer(now)",
    ),
    # Rule 3
    Mutant(
        "a hold never ends",
        "return self._ended_at + self._timeouts.close_timeout * 3 / 4",
        "return math.inf",
    ),
    Mutant(
        "a hold is forgotten where the reader comes",
        "if self._answer.holds and self.end.kind is EndKind.CLOSE:",
        "if self.end.kind is not EndKind.CLOSE:",
    ),
    Mutant(
        "a release lets nothing out",
        "            if self.end is not None and not self.unread and not self.end_applied:",
        "            if self.end is None:",
    ),
    # Rule 4
    Mutant(
        "it is due no later than now",
        "max(self._next_due(now, full), math.nextafter(now, math.inf))",
        "max(self._next_due(now, full), now)",
    ),
    Mutant(
        "an answer does not hasten what is due",
        "            self.due = min(self.due, answer_at)",
        "            pass",
    ),
    Mutant(
        "closing does not hasten what is due",
        "        self.due = min(self.due, self.close_at)\n",
        "",
    ),
    Mutant(
        "a ping does not hasten what is due",
        "        self.due = min(self.due, self._next_due(now, full=False))\n",
        "",
        test="_deadlines",
    ),
    Mutant(
        "an answer that is out is still due",
        "        self._answer_at = math.inf\n        self.due",
        "        self.due",
    ),
    Mutant(
        "the silent are told apart by a span",
        "if self._idle_at(received_at) <= now:",
        "if now - max(received_at, self._excused_until) >= self._timeouts.idle_timeout:",
    ),
    # Rule 5
    Mutant(
        "nothing is read before giving up",
        "            if not just_read:\n                return True\n",
        "",
    ),
    Mutant(
        "closing has no end",
        "        if self.close_at <= now:",
        "        if self.close_at < 0:",
    ),
    Mutant(
        "the time to write is ignored",
        "        if self._write_timeout_at(now) <= now:",
        "        if self._write_timeout_at(now) < 0:",
    ),
    Mutant(
        "a full receiver's silence counts",
        "            self._excused_until = now\n        self._handed_out_at_look",
        "            pass\n        self._handed_out_at_look",
    ),
    Mutant(
        "a ping is held against who cannot be read",
        "        self._pong_due_since = now\n        if not self._output.waiting_senders:",
        "        if not self._output.waiting_senders:",
    ),
    Mutant(
        "what the codec has more of is overlooked",
        "        full = full or self.codec.has_more_output\n",
        "",
        test="_times",
    ),
    Mutant(
        "who hung up is excused for ever",
        "if not self._hung_up or self._handed_out_at_look != handed_out:",
        "if True:",
        test="_times",
    ),
    Mutant(
        "who was reset is kept as long as who is idle",
        "        if self._was_reset:\n            # Like a",
        "        if False:\n            # Like a",
        test="_times",
    ),
    Mutant(
        "who hung up is excused for no moment",
        "if not self._hung_up or self._handed_out_at_look != handed_out:",
        "if not self._hung_up:",
        test="_times",
    ),
    Mutant(
        "who waits for us is stuck",
        "        if not self._output.waiting_senders:\n",
        "        if False:\n",
    ),
    Mutant(
        "nobody is stuck behind a full receiver",
        "        if not self._output.waiting_senders:\n",
        "        if True:\n",
    ),
    Mutant(
        "whoever begins to send has less time",
        "            self.keepalive.excuse_blocked(now)\n        self.due",
        "            pass\n        self.due",
        test="_times",
    ),
    Mutant(
        "what begins to wait does not hasten what is due",
        "        self.due = min(self.due, now + self._timeouts.write_timeout / 20)\n",
        "",
        test="_deadlines",
    ),
    Mutant(
        "a ping that has not left needs an answer",
        "            if blocked or self._was_blocked:",
        "            if False:",
        test="_times",
    ),
    Mutant(
        "the time for a pong begins before the ping has left",
        "            if blocked or self._was_blocked:",
        "            if blocked:",
        test="_times",
    ),
    Mutant(
        "each ping gives more time",
        "        if not self.awaits_pong(received):\n            # Otherwise",
        "        if True:\n            # Otherwise",
    ),
    Mutant(
        "no pong is missed",
        "            elif self._pong_due_since + self._timeouts.ping_timeout <= now:",
        "            elif self._pong_due_since < 0:",
    ),
    Mutant(
        "whoever has just spoken is pinged",
        "return max(received_at, self._excused_until) + self._timeouts.ping_interval",
        "return max(received_at, self._excused_until) + self._timeouts.ping_interval / 2",
    ),
    Mutant(
        "pinged again and again",
        "            and not keepalive.awaits_pong(self.bytes_received)\n",
        "",
    ),
    # Rule 6
    Mutant(
        "pinged behind our Close",
        "return self.draft.ping and self.can_send and self.end is None",
        "return self.draft.ping and self.end is None",
    ),
    Mutant(
        "aborting keeps what is unread",
        "        self.unread.clear()\n        if self.end is None:",
        "        if self.end is None:",
        test="_tables",
    ),
    Mutant(
        "aborting leaves an answer owed",
        "        if not self.end_applied:\n            # The peer gets no answer.",
        "        if self.end_applied:\n            # The peer gets no answer.",
        test="_tables",
    ),
    Mutant(
        "pings are not answered behind our Close",
        "if pings and not self._output.finishing and not self.end_applied:",
        "if pings and self.can_send:",
    ),
    # Rule 7
    Mutant("the first 16 pings are answered", "pings[-PONGS_AT_ONCE:]", "pings[:PONGS_AT_ONCE]"),
    Mutant("all pings are answered", "pings[-PONGS_AT_ONCE:]", "pings"),
    Mutant(
        "pongs are put for good",
        "self._output.put_latest(self.codec.encode(Pong",
        "self._output.put(self.codec.encode(Pong",
    ),
    Mutant(
        "every ping is remembered",
        "[ping for ping in earlier if ping.on_done is not None]",
        "[*earlier]",
    ),
    Mutant(
        "a pong stands for itself alone",
        "answered = sent_pings[: last + 1]\n        del sent_pings[: last + 1]\n",
        "answered = [sent_pings.pop(last)]\n",
        test="_pings",
    ),
    Mutant(
        "a pong answers the first of equal pings alone",
        "positions = range(len(sent_pings) - 1, -1, -1)",
        "positions = range(len(sent_pings))",
        test="_pings",
    ),
    Mutant(
        "latency of the oldest ping",
        "            self.latency = sent.round_trip = now - sent.at\n",
        "            sent.round_trip = now - sent.at\n"
        "            self.latency = max(sent.round_trip, self.latency or 0)\n",
        test="_pings",
    ),
    Mutant(
        "whoever waits for a pong waits for ever",
        "        self.keepalive.forget_pings()\n        self._schedule_answer(now)",
        "        self._schedule_answer(now)",
    ),
]


def is_found(mutant: Mutant) -> bool:
    """Breaks it so in a process of its own, which has all but the package imported already."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    status = 1
    try:
        mutant.apply()
        found = mutant.found_by()
        print(f"{mutant.name}: {found or 'nothing finds it'}", flush=True)
        status = int(found is None)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


if __name__ == "__main__":
    asked = sys.argv[1:] or [mutant.name for mutant in MUTANTS]
    found = [is_found(mutant) for mutant in MUTANTS if mutant.name in asked]
    sys.exit(not all(found))
