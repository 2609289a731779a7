"""What bytes really are, judged by themselves and not by what their sender says.

A table of our own: public ones take the mere letters `\\x89PNG` for a PNG, JPEG 2000 for a JPEG,
and match anywhere; this one has only the types that are taken, and is strict.
"""

import codecs
from dataclasses import dataclass

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
DICOM = "application/dicom"
TEXT = "text/plain"
CSV = "text/csv"


@dataclass(frozen=True, slots=True)
class _Signature:
    magic: bytes
    offset: int = 0

    def matches(self, head: bytes) -> bool:
        return head.startswith(self.magic, self.offset)


_SIGNATURES = {
    PDF: _Signature(b"%PDF-"),  # ISO 32000-2, 7.5.2
    PNG: _Signature(b"\x89PNG\r\n\x1a\n"),  # PNG, third edition, 5.2
    JPEG: _Signature(b"\xff\xd8\xff"),  # ITU-T T.81, B.1.1.3: SOI, and the next marker's prefix
    DICOM: _Signature(b"DICM", 128),  # DICOM PS3.10, 7.1
}
_TEXTS = frozenset({TEXT, CSV})

ALLOWED_TYPES = frozenset(_SIGNATURES) | _TEXTS

_HEAD_BYTES = max(signature.offset + len(signature.magic) for signature in _SIGNATURES.values())
# Tabs, line ends and form feeds belong to text; NUL, escape sequences and the like don't.
_NO_TEXT = bytes(set(range(0x20)) - set(b"\t\n\r\f")) + b"\x7f"


class ContentInspector:
    """Judges a stream of bytes, chunk by chunk, in constant memory.

    Args:
        content_type: what the bytes claim to be, one of `ALLOWED_TYPES`.
    """

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self._head = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")() if content_type in _TEXTS else None
        self._is_text = True

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        if len(self._head) < _HEAD_BYTES:
            self._head += chunk[: _HEAD_BYTES - len(self._head)]
        if self._decoder is not None and self._is_text:
            self._is_text = _decodes(self._decoder, chunk) and not _has_any(chunk, _NO_TEXT)

    def matches(self) -> bool:
        """Whether all bytes together are of the type they claim. Call once, at the end."""
        if self._decoder is None:
            return _SIGNATURES[self._content_type].matches(self._head)
        return (
            self._is_text
            and _decodes(self._decoder, b"", final=True)
            and not any(signature.matches(self._head) for signature in _SIGNATURES.values())
        )


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _has_any(chunk: bytes, unwanted: bytes) -> bool:
    return len(chunk.translate(None, unwanted)) != len(chunk)
