"""How a command ends: its exit code, and one sentence for what went wrong."""

from __future__ import annotations

import errno
import os
import tempfile
import traceback
from enum import IntEnum
from pathlib import Path
from typing import Final


class ExitCode(IntEnum):
    """The exit codes of every command. Scripts may rely on them."""

    OK = 0
    """Done."""
    UNEXPECTED = 1
    """A fault of the software: the message says where its details were written."""
    USAGE = 2
    """The command line itself is wrong."""
    BAD_INPUT = 3
    """Bad settings or input: a file, a key, an address, a text."""
    NODE_STATE = 4
    """The node or its directory is not in the state the command needs: locked, not running, not set up."""
    REFUSED = 5
    """A verification refused what it was given."""
    STORAGE = 6
    """The disk, the database or a bound on them: full, read-only, damaged."""
    NETWORK = 7
    """The network: a port in use, a peer out of reach."""
    INTERRUPTED = 130
    """Ctrl-C."""


EXIT_CODE_LINES: Final = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "unexpected error",
    ExitCode.USAGE: "wrong usage",
    ExitCode.BAD_INPUT: "bad settings or input",
    ExitCode.NODE_STATE: "node not in that state (locked, not running, not set up)",
    ExitCode.REFUSED: "verification refused",
    ExitCode.STORAGE: "storage (full, read-only, damaged)",
    ExitCode.NETWORK: "network (port in use, peer out of reach)",
    ExitCode.INTERRUPTED: "interrupted",
}


class CommandError(Exception):
    """A command cannot do what was asked; the message is one sentence with the next step."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


# By name, so that no heavy module is imported only to compare with its errors. Nearest base class first.
_CODES: Final = {
    ("config.datadir", "DataDirLocked"): ExitCode.NODE_STATE,
    ("config.errors", "ConfigError"): ExitCode.BAD_INPUT,
    ("protocol.genesis", "GenesisError"): ExitCode.BAD_INPUT,
    ("protocol.planning.errors", "PlanError"): ExitCode.BAD_INPUT,
    ("node.corpus", "CorpusError"): ExitCode.BAD_INPUT,
    ("node.bench.errors", "BenchError"): ExitCode.BAD_INPUT,
    ("node.encoders.encoder", "EncoderError"): ExitCode.BAD_INPUT,
    ("node.training.errors", "TrainingError"): ExitCode.BAD_INPUT,
    ("node.evaluation.errors", "EvaluationError"): ExitCode.BAD_INPUT,
    ("node.signer.errors", "SignerLocked"): ExitCode.NODE_STATE,
    ("node.signer.errors", "OpensLaterError"): ExitCode.NODE_STATE,
    ("node.signer.errors", "SignerError"): ExitCode.STORAGE,
    ("node.roles.doppelganger", "DoppelgangerFound"): ExitCode.NODE_STATE,
    ("node.backup.errors", "RestoreRefused"): ExitCode.NODE_STATE,
    ("node.store.errors", "StoreError"): ExitCode.STORAGE,
    ("node.network.errors", "NetworkError"): ExitCode.NETWORK,
    ("node.api.server", "ListenError"): ExitCode.NETWORK,
    ("node.bundle", "BundleError"): ExitCode.BAD_INPUT,
    ("node.space", "SpaceError"): ExitCode.BAD_INPUT,
    ("node.gallery.errors", "GalleryError"): ExitCode.BAD_INPUT,
    ("node.gallery.errors", "GalleryStorageError"): ExitCode.STORAGE,
    ("protocol.epochs.learnt", "LearntError"): ExitCode.STORAGE,
    ("node.client.errors", "InvalidRequestError"): ExitCode.BAD_INPUT,
    ("node.client.errors", "NotFoundError"): ExitCode.BAD_INPUT,
    ("node.client.errors", "NotAllowedError"): ExitCode.BAD_INPUT,
    ("node.client.errors", "ClientError"): ExitCode.NETWORK,
    ("node.certified", "VerificationFailed"): ExitCode.REFUSED,
}

_STORAGE_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
)
_ADDRESS_ERRNOS: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})


def known_exit_code(error: BaseException) -> ExitCode | None:
    """The exit code of an error whose message is meant for the user, None for any other."""
    if isinstance(error, CommandError):
        return error.code
    for kind in type(error).__mro__:
        code = _CODES.get((kind.__module__, kind.__name__))
        if code is None:
            continue
        # A full disk is the disk's fault also where it was a key that could not be written.
        cause = error.__cause__ or error.__context__
        if code is ExitCode.BAD_INPUT and isinstance(cause, OSError) and cause.errno in _STORAGE_ERRNOS:
            return ExitCode.STORAGE
        return code
    return None


def os_error_code(error: OSError) -> ExitCode:
    """The exit code of a refusal by the operating system."""
    if error.errno in _ADDRESS_ERRNOS:
        return ExitCode.NETWORK
    return ExitCode.STORAGE if error.errno in _STORAGE_ERRNOS else ExitCode.BAD_INPUT


def explain(error: Exception) -> tuple[str, ExitCode]:
    """The sentence and the exit code for an error; the details of an unexpected one are written to a file."""
    error = _first_known(error)
    code = known_exit_code(error)
    if code is not None:
        return str(error), code
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _STORAGE_ERRNOS):
        from config.errors import os_error_sentence

        # Without a name it is the output that was being written: every other file is opened by name.
        place = Path(os.fsdecode(error.filename)) if error.filename is not None else Path("the output")
        return os_error_sentence("use", place, error), os_error_code(error)
    kind = type(error).__name__
    return f"unexpected {kind}: {_details(error)}", ExitCode.UNEXPECTED


def _first_known(error: Exception) -> Exception:
    """Of a group, as nurseries raise, the error that says most to the user."""
    if not isinstance(error, ExceptionGroup):
        return error
    parts = [_first_known(part) for part in error.exceptions]
    return next((part for part in parts if known_exit_code(part) is not None), error)


def _details(error: Exception) -> str:
    try:
        descriptor, path = tempfile.mkstemp(prefix="deltamesh-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return f"{error}; run it again as `deltamesh --debug ...` to see where"
    return f"the details are in {path}; report them, or run it again as `deltamesh --debug ...`"
