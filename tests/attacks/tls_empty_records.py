"""TLS 1.3 records that OpenSSL would never write, encrypted with the keys that it logged.

Sections are those of RFC 8446. The cipher suite must be TLS_AES_256_GCM_SHA384, which OpenSSL
prefers.
"""

from __future__ import annotations

import hmac
from pathlib import Path

# trustme depends on it, so it is installed wherever these tests run.
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trio_draftws.drafts import Role

# Section 5.2: the real type, which is encrypted, and the type and version that everybody can see
_APPLICATION_DATA, _OUTER = b"\x17", b"\x17\x03\x03"


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (section 7.1), for keys that fit in one block of SHA-384."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\x00"
    return hmac.digest(secret, info + b"\x01", "sha384")[:size]


class Records:
    """Writes records on behalf of one side, continuing after the `written` records it has sent."""

    def __init__(self, log: Path, role: Role, written: int) -> None:
        *_, secret = [
            bytes.fromhex(line.split()[2])
            for line in log.read_text().splitlines()
            if line.startswith(f"{role.upper()}_TRAFFIC_SECRET_0 ")
        ]
        self._cipher = AESGCM(_expand(secret, b"key", 32))
        self._nonce = int.from_bytes(_expand(secret, b"iv", 12), "big")
        self._written = written

    def write(self, data: bytes) -> bytes:
        """Returns one record holding `data`, which may be empty."""
        nonce = (self._nonce ^ self._written).to_bytes(12, "big")
        self._written += 1
        inside = data + _APPLICATION_DATA
        head = _OUTER + (len(inside) + 16).to_bytes(2, "big")
        return head + self._cipher.encrypt(nonce, inside, head)
