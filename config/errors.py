"""A user's mistake, in one sentence: what happened, why, and the next step."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space or choose another --home",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another --home",
    errno.EROFS: "the file system is read-only; choose another --home",
    errno.EACCES: "permission denied; change its owner or mode, or choose another --home",
    errno.EPERM: "the operation is not permitted here; choose another --home",
    errno.ENOTDIR: "a part of the path is not a directory; choose another --home",
    errno.EEXIST: "a file of that name is in the way; move it or choose another --home",
    errno.EISDIR: "it is a directory; give the path of a file",
    errno.ENOENT: "it does not exist; check the path",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter --home",
    errno.EMFILE: "too many files are open; raise the limit with `ulimit -n`",
}


class ConfigError(Exception):
    """Settings, genesis or files a node cannot start with. The message is meant for the user."""


def os_error_sentence(doing: str, path: Path, error: OSError) -> str:
    """One sentence for a refusal of the operating system: `cannot write /x: the disk is full; free ...`."""
    code = error.errno if error.errno is not None else 0
    cause = _CAUSES.get(code, f"{error.strerror or type(error).__name__}; check the path and try again")
    return f"cannot {doing} {path}: {cause}"


def nearest_hint(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest known word, or the known words when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(names)}"
