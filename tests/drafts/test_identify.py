"""Which draft a request speaks, and what is answered where it is none of ours."""

from __future__ import annotations

import ast
from pathlib import Path

import attrs
import pytest

import trio_draftws.drafts
from trio_draftws.drafts import (
    DRAFTS,
    Draft,
    Reject,
    Request,
    allowed_drafts,
    draft_named,
    identify,
)

from .helpers import KEYS, UPGRADE, get, head

UNPROVEN = draft_named("hixie-75")
OLD = draft_named("old")
NEW = draft_named("new")
# Those whose requests are of two kinds only; later rows change nothing about them.
EARLY = (UNPROVEN, OLD, NEW)
RFC = attrs.evolve(OLD, name="test-13", aliases=(), version=13, announced_by=("version 13",))
EIGHT = attrs.evolve(OLD, name="test-8", aliases=(), version=8, announced_by=("version 8",))
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def refusal(request: Request, drafts: tuple[Draft, ...] = EARLY, mode: Draft = OLD) -> Reject:
    """What `identify` refuses a request with."""
    with pytest.raises(Reject) as caught:
        identify(request, mode, drafts)
    return caught.value


# Requests that are told apart


@pytest.mark.parametrize("mode", DRAFTS, ids=lambda draft: draft.name)
def test_upgrade_alone(mode: Draft) -> None:
    """Upgrade and Connection with neither key nor version are hixie-75, in every mode."""
    assert UNPROVEN is identify(get(*UPGRADE), mode, DRAFTS)


@pytest.mark.parametrize(
    "fields",
    [
        ("UPGRADE: websocket", "CONNECTION: keep-alive, upgrade"),
        ("Upgrade: foo, WEBSOCKET", "Connection: Keep-Alive", "Connection: Upgrade"),
    ],
)
def test_upgrade_without_regard_to_case(fields: tuple[str, ...]) -> None:
    """Both fields are lists of tokens that have no case."""
    assert UNPROVEN is identify(get(*fields), OLD, DRAFTS)


@pytest.mark.parametrize(
    ("mode", "expected"), [(OLD, OLD), (NEW, NEW), (UNPROVEN, OLD), (RFC, OLD)], ids=repr
)
def test_keys(mode: Draft, expected: Draft) -> None:
    """The mode decides between the drafts with two keys; a mode without keys leaves the oldest."""
    assert expected is identify(get(*UPGRADE, *KEYS), mode, DRAFTS)


@pytest.mark.parametrize("mode", DRAFTS, ids=lambda draft: draft.name)
@pytest.mark.parametrize("number", ["0", "00", " 0 "])
def test_draft_0(mode: Draft, number: str) -> None:
    """`Sec-WebSocket-Draft: 0` is hixie-76, whatever the mode."""
    request = get(*UPGRADE, *KEYS, f"Sec-WebSocket-Draft: {number}")
    assert OLD is identify(request, mode, DRAFTS)


@pytest.mark.parametrize("number", ["1", "2", "3", "76"])
def test_draft_1_and_more(number: str) -> None:
    """A later draft is not taken for an earlier one."""
    request = get(*UPGRADE, *KEYS, f"Sec-WebSocket-Draft: {number}")
    assert refusal(request).status == 426
    later = attrs.evolve(NEW, name="test-02", announced_by=("draft 1+",))
    assert later is identify(request, OLD, (*EARLY, later))


@pytest.mark.parametrize("value", ["x", "", "-1", "1.0", "+0", "0x0", "\u00b2", "1" * 10])
def test_draft_that_is_no_number(value: str) -> None:
    """It is refused with 400."""
    request = get(*UPGRADE, *KEYS, f"Sec-WebSocket-Draft: {value}")
    assert (
        refusal(request).status,
        refusal(request).body,
    ) == (400, b"Expected one number in Sec-WebSocket-Draft.\n")


def test_repeated_draft() -> None:
    """Two numbers are not one."""
    request = get(*UPGRADE, *KEYS, "Sec-WebSocket-Draft: 0", "Sec-WebSocket-Draft: 2")
    assert refusal(request).status == 400


def test_draft_without_keys() -> None:
    """Without keys the field means nothing."""
    assert UNPROVEN is identify(get(*UPGRADE, "Sec-WebSocket-Draft: x"), OLD, DRAFTS)


@pytest.mark.parametrize("key", KEYS)
def test_one_key_alone(key: str) -> None:
    """The two keys belong together, so one of them is refused with 400."""
    refused = refusal(get(*UPGRADE, key))
    assert (refused.status, refused.body[-23:-2]) == (400, b"only one of them came")


@pytest.mark.parametrize("fields", [(), KEYS, (KEY,), (KEYS[0],)])
@pytest.mark.parametrize("number", ["13", "013"])
def test_version(fields: tuple[str, ...], number: str) -> None:
    """The version decides before anything else does."""
    request = get(*UPGRADE, *fields, f"Sec-WebSocket-Version: {number}")
    assert RFC is identify(request, OLD, (*EARLY, EIGHT, RFC))


@pytest.mark.parametrize("number", ["0", "3", "8", "9", "12", "13", "14", "255", "999999999"])
def test_version_without_row(number: str) -> None:
    """A version that is not spoken here is refused with 426."""
    request = get(*UPGRADE, KEY, f"Sec-WebSocket-Version: {number}")
    assert refusal(request).status == 426


@pytest.mark.parametrize("value", ["", "x", "13, 8", "13;", "-13", "1.3", "\u00b9", "1" * 10])
def test_version_that_is_no_number(value: str) -> None:
    """It is refused with 400."""
    refused = refusal(get(*UPGRADE, f"Sec-WebSocket-Version: {value}"), (*EARLY, RFC))
    assert (
        refused.status,
        refused.body,
    ) == (400, b"Expected one number in Sec-WebSocket-Version.\n")


def test_different_versions() -> None:
    """A request of two versions is refused with 400; repeating one is harmless."""
    thirteen, eight = (f"Sec-WebSocket-Version: {number}" for number in (13, 8))
    assert refusal(get(*UPGRADE, thirteen, eight), (RFC, EIGHT)).status == 400
    assert RFC is identify(get(*UPGRADE, thirteen, thirteen), OLD, (RFC, EIGHT))


# Requests that are none of ours


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Host: example.com",),
        ("Upgrade: WebSocket",),
        ("Connection: Upgrade",),
        ("Upgrade: h2c", "Connection: Upgrade"),
        ("Upgrade: WebSocket", "Connection: close"),
        (*UPGRADE, KEY),
    ],
)
def test_426(fields: tuple[str, ...]) -> None:
    """A plain GET, and a key without version, are told what is spoken here."""
    refused = refusal(get(*fields))
    assert refused.status == 426
    assert refused.headers["Upgrade"] == "websocket"
    names = ", ".join(draft.name for draft in EARLY)
    expected = f"This is no WebSocket request; the drafts spoken here are: {names}.\n"
    assert expected == refused.body.decode()


def test_426_lists_only_what_this_server_speaks() -> None:
    """A draft that is switched off is not offered."""
    refused = refusal(get(*UPGRADE), (OLD,))
    expected = "That draft is not spoken here; the drafts spoken here are: hixie-76.\n"
    assert expected == refused.body.decode()


def test_426_without_versions() -> None:
    """Where no row has a number, none is told."""
    assert "Sec-WebSocket-Version" not in refusal(get()).headers


def test_426_with_versions() -> None:
    """The numbers that the rows have are told, each once, highest first."""
    again = attrs.evolve(EIGHT, name="test-8-too")
    refused = refusal(get(), (*EARLY, EIGHT, again, RFC))
    assert refused.headers["Sec-WebSocket-Version"] == "13, 8"


@pytest.mark.parametrize(
    ("fields", "drafts"),
    [
        (UPGRADE, (OLD, NEW)),
        ((*UPGRADE, *KEYS), (UNPROVEN,)),
        ((*UPGRADE, *KEYS, "Sec-WebSocket-Draft: 0"), (UNPROVEN, NEW)),
        ((*UPGRADE, "Sec-WebSocket-Version: 13"), (EIGHT,)),
    ],
)
def test_drafts_that_are_switched_off(fields: tuple[str, ...], drafts: tuple[Draft, ...]) -> None:
    """A request of a draft that this server doesn't speak is not taken for another."""
    assert refusal(get(*fields), drafts).status == 426


@pytest.mark.parametrize(("mode", "only"), [(OLD, NEW), (NEW, OLD)], ids=repr)
def test_a_mode_that_is_switched_off(mode: Draft, only: Draft) -> None:
    """Where the mode's draft is not spoken, the other one with two keys is."""
    assert only is identify(get(*UPGRADE, *KEYS), mode, (UNPROVEN, only))


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_other_methods(method: str) -> None:
    """A WebSocket request with another method is refused with 405."""
    refused = refusal(Request.parse(head(f"{method} / HTTP/1.1", *UPGRADE)))
    assert (refused.status, refused.headers["Allow"]) == (405, "GET")


def test_other_methods_that_ask_for_nothing() -> None:
    """Any other POST is first of all no WebSocket request."""
    assert refusal(Request.parse(head("POST / HTTP/1.1", "Host: h"))).status == 426


@pytest.mark.parametrize("draft", [UNPROVEN, OLD, NEW], ids=repr)
def test_content_length(draft: Draft) -> None:
    """None, 0, and the draft's own body may be announced, and nothing else."""
    keys = KEYS if draft.opening.request_body else ()
    own = str(draft.opening.request_body)
    for lengths in ([], ["0"], [own], [own, own], ["0", own]):
        fields = [f"Content-Length: {length}" for length in lengths]
        assert draft is identify(get(*UPGRADE, *keys, *fields), draft, DRAFTS)
    other = "8" if own == "0" else "16"
    for length in (other, "5", "-0", "00", "", "0, 0", "+8", "8 8", "x"):
        refused = refusal(get(*UPGRADE, *keys, f"Content-Length: {length}"), mode=draft)
        assert (refused.status, refused.body) == (400, b"A WebSocket request has no body.\n")
    refused = refusal(get(*UPGRADE, *keys, "Content-Length: 0", "Content-Length: 5"), mode=draft)
    assert refused.status == 400


@pytest.mark.parametrize("coding", ["chunked", "identity", ""])
@pytest.mark.parametrize("keys", [(), KEYS])
def test_transfer_encoding(keys: tuple[str, ...], coding: str) -> None:
    """It is refused with 400, so that no body is ever taken for another request."""
    request = get(*UPGRADE, *keys, f"Transfer-Encoding: {coding}")
    assert refusal(request).status == 400


# Names


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
def test_draft_named(draft: Draft) -> None:
    """A row is found by its name and by each alias, and stands for itself."""
    assert draft is draft_named(draft)
    for name in (draft.name, *draft.aliases):
        assert draft is draft_named(name)


@pytest.mark.parametrize("name", ["", "hixie", "HIXIE-76", "Old", "hybi-99", None, 76, [], {}])
def test_a_name_that_no_row_has(name: str) -> None:
    """The error lists every row, with its other names."""
    with pytest.raises(ValueError, match="no draft is named") as caught:
        draft_named(name)
    assert repr(name) in str(caught.value)
    for draft in DRAFTS:
        assert " = ".join((draft.name, *draft.aliases)) in str(caught.value)


def test_names_are_unique() -> None:
    """No two rows have a name in common."""
    names = [name for draft in DRAFTS for name in (draft.name, *draft.aliases)]
    assert len(names) == len(set(names))


def test_repr() -> None:
    """A row is shown by its name."""
    assert repr(OLD) == "<Draft hixie-76>"


def test_all_drafts_are_allowed_by_default() -> None:
    """None stands for every row."""
    assert allowed_drafts(None) is DRAFTS


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["new", "old"], (OLD, NEW)),
        (["hixie-76", "old", OLD], (OLD,)),
        ("new", (NEW,)),
        ((NEW, "hixie-75"), (UNPROVEN, NEW)),
        (iter(["hybi-00"]), (OLD,)),
        ([RFC, NEW], (NEW, RFC)),
    ],
)
def test_allowed_drafts(names: list[str | Draft], expected: tuple[Draft, ...]) -> None:
    """Each row once, in the order of the table; rows of one's own come last."""
    assert expected == allowed_drafts(names)


def test_no_drafts_at_all() -> None:
    """A server that speaks nothing is a mistake."""
    with pytest.raises(ValueError, match="must speak one draft at least"):
        allowed_drafts([])


def test_allowed_drafts_with_an_unknown_name() -> None:
    """It is told like everywhere."""
    with pytest.raises(ValueError, match="no draft is named 'hybi-99'"):
        allowed_drafts(["old", "hybi-99"])


@pytest.mark.parametrize("mode", range(len(DRAFTS)))
@pytest.mark.parametrize("fields", [UPGRADE, (*UPGRADE, *KEYS)])
def test_names_decide_nothing(fields: tuple[str, ...], mode: int) -> None:
    """Rows under other names are identified as the rows themselves are."""
    renamed = tuple(attrs.evolve(draft, name="x", aliases=()) for draft in DRAFTS)
    request = get(*fields)
    expected = DRAFTS.index(identify(request, DRAFTS[mode], DRAFTS))
    assert renamed[expected] is identify(request, renamed[mode], renamed)


@pytest.mark.parametrize(
    "path", sorted(Path(trio_draftws.drafts.__file__).parent.glob("*.py")), ids=lambda p: p.name
)
def test_no_comparison_with_a_name(path: Path) -> None:
    """No code asks what a draft is called, or imports trio."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                assert not (isinstance(side, ast.Attribute) and side.attr in ("name", "aliases"))
        if isinstance(node, ast.Match):
            raise AssertionError("a match statement may be a comparison with a name")
        imported = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        assert "trio" not in imported
        if isinstance(node, ast.ImportFrom):
            assert node.level < 2
            assert (node.module or "").partition(".")[0] not in ("trio", "trio_draftws")
