"""How large a compressed frame says it is, read from its first bytes before anything is decoded."""

__all__ = ["codestream_size"]

_J2K = b"\xff\x4f\xff\x51"  # SOC, SIZ: ISO/IEC 15444-1 A.5.1; HTJ2K has the same
_JPEG = b"\xff\xd8\xff"  # SOI, then any marker: ISO/IEC 10918-1 B.1.1
#: Start of frame, in all its kinds, and JPEG-LS (ISO/IEC 14495-1 C.1.1).
_FRAME_STARTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 codestream; None if it does not say."""
    if data.startswith(_JPEG):
        return _jpeg_size(data)
    start = data.find(_J2K)  # some send the boxes of a JP2 file before it
    if start < 0 or len(data) < start + 24:
        return None
    right, bottom, left, top = (
        int.from_bytes(data[start + at : start + at + 4], "big") for at in (8, 12, 16, 20)
    )
    return bottom - top, right - left


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAME_STARTS:
            rows = int.from_bytes(data[at + 5 : at + 7], "big")
            return (rows, int.from_bytes(data[at + 7 : at + 9], "big")) if rows else None
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
