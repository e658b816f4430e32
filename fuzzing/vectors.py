"""What tests/vectors has, for inputs to begin with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

Vector: TypeAlias = dict[str, Any]

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
DRAFTS: dict[str, list[Vector]] = json.loads((FOLDER / "drafts.json").read_text("utf-8"))
RECORDED: list[Vector] = [
    json.loads(line)
    for line in (FOLDER / "racket-net-websocket.jsonl").read_text("utf-8").splitlines()
]
# Of a recorded framing mode, the framing
FRAMINGS = {"old": "F-S", "new": "F-L64"}


def frames(*framings: str) -> list[bytes]:
    """What is said, rightly or wrongly, in these framings; of long ones, as much as there is."""
    told = [
        bytes.fromhex(vector["hex"])
        for kind in ("frames", "frame_negatives")
        for vector in DRAFTS[kind]
        # One is "F-04/F-05 clear form".
        if any(framing in vector["framing"] for framing in framings)
    ]
    recorded = [
        bytes.fromhex(record["hex"])
        for record in RECORDED
        if record["part"] == "frames" and FRAMINGS[record["mode"]] in framings and "hex" in record
    ]
    return list(dict.fromkeys(told + recorded))


def compressed(extension: str) -> list[bytes]:
    """Frames of an extension."""
    return [
        bytes.fromhex(vector["hex"])
        for vector in DRAFTS["extensions"]
        if vector["extension"] == extension and "hex" in vector
    ]


def requests() -> list[bytes]:
    """Requests, with the bytes behind them."""
    return _handshakes("request_hex", "c2s")


def answers() -> list[bytes]:
    """Answers, with the bytes behind them."""
    return _handshakes("response_hex", "s2c")


def _handshakes(key: str, direction: str) -> list[bytes]:
    told = [bytes.fromhex(vector[key]) for vector in DRAFTS["handshakes"] if vector.get(key)]
    recorded = [
        bytes.fromhex(record["hex"])
        for record in RECORDED
        if (record["part"], record["direction"]) == ("handshake", direction) and "hex" in record
    ]
    return list(dict.fromkeys(told + recorded))
