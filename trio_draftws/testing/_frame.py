"""`frame`: makes frames by hand, also ones that no codec would send."""

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
    """Makes a frame of RFC 6455 section 5.2, or of a draft from hybi-07 on; it need not be valid.

    Args:
        opcode: an int from 0 to 15: 0 for a continuation, 1 for text, 2 for binary, 8 for close, 9
            for ping, 10 for pong; a peer must reject any other.
        payload: the payload before masking, as bytes; by default empty.
        final: whether this is the last frame of its message (the FIN bit); by default True.
        reserved: the three reserved bits, as an int from 0 to 7; by default 0.
        mask: the masking key, four bytes; by default None, for an unmasked frame. A client must
            mask, a server must not.
        length: the length to write in the header, in bytes; by default that of the payload.

    Returns:
        The frame, as bytes.

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
