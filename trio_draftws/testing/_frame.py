"""Frames by hand, for what no codec would say."""

from __future__ import annotations


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = None,
    length: int | None = None,
) -> bytes:
    """A frame of RFC 6455 and the drafts from hybi-07 on, in order or not.

    Args:
        opcode: 0 for a continuation, 1 for text, 2 for bytes, 8 for close, 9 for ping, 10 for
            pong; any other up to 15 is an error.
        payload: before it is masked.
        final: whether it ends its message.
        reserved: the three reserved bits, as a number up to 7.
        mask: the masking key, four bytes, as a client must and a server must not have one.
        length: the length to name, where it is not to be that of the payload.

    Raises:
        ValueError: a number does not fit into its bits, or the mask is not four bytes long.
    """
    if not (0 <= opcode < 16 and 0 <= reserved < 8):
        raise ValueError(f"an opcode is 0 to 15, reserved 0 to 7, not {opcode} and {reserved}")
    if mask is not None and len(mask) != 4:
        raise ValueError(f"a masking key is four bytes long, not {len(mask)}")
    size = len(payload) if length is None else length
    # RFC 6455 section 5.2
    first = bytes([final << 7 | reserved << 4 | opcode])
    bit = 0 if mask is None else 0x80
    if size < 126:
        head = first + bytes([bit | size])
    elif size < 2**16:
        head = first + bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head = first + bytes([bit | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + masked
