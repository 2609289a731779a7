"""Which names a file may have, and how a name travels in a response header."""

import re
import unicodedata
from urllib.parse import quote

from files_service.errors import BadFilenameError

MAX_BYTES = 255  # of UTF-8: what ext4, APFS and NTFS have room for

_PATH_SEPARATORS = re.compile(r"[/\\]")
# Embeddings, overrides and isolates: with them `exe.fdp` can be shown as `pdf.exe`.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Cc: control characters. Cs: half of a surrogate pair, no character at all. Zl, Zp: line breaks.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file, superscript digits included.
_WINDOWS_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)

_NOT_PLAIN = re.compile(r'[^\x20-\x7e]|["\\%]')
_ATTR_CHARS = "!#$&+.^_`|~-"  # besides letters and digits: RFC 8187, section 3.2.1


def check_filename(name: str) -> None:
    """Refuses a name that is no file's name everywhere or hides what it is; keeps it as it is.

    Raises:
        BadFilenameError: with a sentence that says why.
    """
    if not name.strip():
        raise BadFilenameError("the name is empty")
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        raise BadFilenameError("the name has a control character or line break")
    if len(name.encode()) > MAX_BYTES:
        raise BadFilenameError(f"the name is longer than {MAX_BYTES} bytes in UTF-8")
    if _PATH_SEPARATORS.search(name):
        raise BadFilenameError("the name has a path separator")
    if _BIDI_CONTROLS.search(name):
        raise BadFilenameError("the name has a control of writing direction")
    if name.endswith((".", " ")):  # "." and ".." are among these
        raise BadFilenameError("the name ends in a dot or a space")
    if _WINDOWS_DEVICE.fullmatch(name):
        raise BadFilenameError("the name is a device's on Windows")


def attachment(name: str) -> str:
    """A `Content-Disposition` that saves under `name` (RFC 6266, RFC 8187); ASCII only.

    The plain `filename` is for clients that don't know `filename*`. In it stands `_` for whatever
    could end the quoted string or be decoded in more than one way.
    """
    plain = _NOT_PLAIN.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
