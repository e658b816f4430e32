"""`CloseCode`: the registered numbers, which print as numbers and leave plain ints behind."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

import trio_draftws
import trio_draftws.drafts
from trio_draftws import Close, CloseCode, Draft, PeerViolation
from trio_draftws.drafts import RemoteProtocolError

# https://www.iana.org/assignments/websocket/: those below 3000, but for 1004, which is reserved
REGISTERED = {
    1000: "NORMAL_CLOSURE",
    1001: "GOING_AWAY",
    1002: "PROTOCOL_ERROR",
    1003: "UNSUPPORTED_DATA",
    1005: "NO_STATUS_RECEIVED",
    1006: "ABNORMAL_CLOSURE",
    1007: "INVALID_PAYLOAD",
    1008: "POLICY_VIOLATION",
    1009: "MESSAGE_TOO_BIG",
    1010: "MANDATORY_EXTENSION",
    1011: "INTERNAL_ERROR",
    1012: "SERVICE_RESTART",
    1013: "TRY_AGAIN_LATER",
    1014: "BAD_GATEWAY",
    1015: "TLS_HANDSHAKE",
}


def test_the_names_are_those_registered() -> None:
    assert {code.value: code.name for code in CloseCode} == REGISTERED
    assert trio_draftws.CloseCode is trio_draftws.drafts.CloseCode


@pytest.mark.parametrize("code", CloseCode)
def test_a_code_is_a_number_in_every_text(code: CloseCode) -> None:
    """In each Python: what `IntEnum` says of itself has changed between them."""
    number = code.value
    assert isinstance(code, int)
    assert hash(code) == hash(number)
    assert str(code) == f"{code}" == "%s" % code == "%d" % code == str(number)  # noqa: UP031
    assert f"{code:>6}" == f"{number:>6}"
    assert json.dumps({"code": code}) == json.dumps({"code": number})
    assert repr(code) == f"<CloseCode.{code.name}: {number}>"
    assert pickle.loads(pickle.dumps(code)) is code


@pytest.mark.parametrize("code", CloseCode)
def test_what_users_get_is_a_plain_int(code: CloseCode) -> None:
    """Also where the library, or they themselves, named it."""
    for named, numbered in [
        (Close(code, "reason"), Close(code.value, "reason")),
        (RemoteProtocolError(code, "reason"), RemoteProtocolError(code.value, "reason")),
        (PeerViolation("reason", code), PeerViolation("reason", code.value)),
    ]:
        assert repr(named) == repr(numbered)
        assert str(named) == str(numbered)
    assert type(Close(code).code) is int
    assert type(RemoteProtocolError(code, "").close_code) is int
    assert type(PeerViolation("", code).close_code) is int


def test_no_code_stays_none() -> None:
    assert Close(None).code is None
    assert RemoteProtocolError(None, "").close_code is None
    assert PeerViolation("", None).close_code is None


def test_what_is_no_code_is_left_for_whoever_checks_it() -> None:
    assert Close(True).code is True
    given: Any = "1000"
    assert Close(given).code is given


def test_codes_of_the_drafts(draft: Draft) -> None:
    """RFC 6455 has each that may be sent; those before it have fewer, and 1004."""
    never_sent = {
        CloseCode.NO_STATUS_RECEIVED,
        CloseCode.ABNORMAL_CLOSURE,
        CloseCode.TLS_HANDSHAKE,
    }
    assert not draft.close_codes & never_sent
    if draft.version == 13:
        assert draft.close_codes == set(CloseCode) - never_sent
    elif draft.close_status:
        assert draft.close_codes - set(CloseCode) == {1004}
