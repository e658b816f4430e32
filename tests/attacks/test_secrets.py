"""What proves a server is compared in a time that tells nothing of it."""

from __future__ import annotations

import ast
import hmac
from pathlib import Path

import pytest

import trio_draftws
from tests.pairs import connected
from trio_draftws import Draft

PACKAGE = Path(trio_draftws.__file__).parent


async def test_proofs_are_compared_in_constant_time(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draft that has one, by `hmac.compare_digest`."""
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def noting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    async with connected("tcp", draft):
        pass
    proves = draft.opening.request_body or draft.version is not None
    assert len(compared) == bool(proves)
    assert all(len(one) >= 16 and one == other for one, other in compared)


def test_nothing_random_is_made_by_random() -> None:
    """Keys, nonces and masks are the operating system's: nobody imports the module `random`."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert "random" not in names, path.name
