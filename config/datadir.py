"""The data directory of one node in one network: where its files lie, and the lock against a second node."""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from config.errors import ConfigError, os_error_sentence
from config.settings import CONFIG_FILE_NAME, NETWORK_PATTERN

# A Unix socket's path is limited by the kernel: 108 bytes with the closing zero.
SOCKET_PATH_BYTES_MAX = 107
_PID_WIDTH = 20


class DataDirError(ConfigError):
    """The data directory cannot be used."""


class DataDirLocked(DataDirError):  # noqa: N818 (says what it is: the directory is locked)
    """Another process runs on this data directory."""


class DataDirLock:
    """The exclusive right to a data directory, until `release` or the end of the process, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next process in. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> DataDirLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class DataDir:
    """`<home>/<network>` and its paths. Opening takes no lock: commands that only read work beside a node."""

    root: Path

    @classmethod
    def open(cls, home: Path, network: str) -> DataDir:
        """The data directory, created with mode 0700 where it is missing, closed to others where it is not.

        Raises DataDirError when it cannot be created, written or is not a directory.
        """
        found = cls._at(home, network)
        for path in (found.root, found.blobs, found.logs):
            _make_private(path)
        if len(os.fsencode(found.control_socket)) > SOCKET_PATH_BYTES_MAX:
            raise DataDirError(
                f"the path of {found.root} is too long for the control socket in it: choose a shorter --home"
            )
        return found

    @classmethod
    def existing(cls, home: Path, network: str) -> DataDir:
        """The data directory of a network that was set up before; creates nothing. Raises DataDirError."""
        found = cls._at(home, network)
        if not found.root.is_dir():
            raise DataDirError(
                f"there is no network '{network}' in {found.root.parent}: set it up with `deltamesh init` "
                "or name another with --home and --network"
            )
        return cls.open(home, network)

    @classmethod
    def _at(cls, home: Path, network: str) -> DataDir:
        if not re.fullmatch(NETWORK_PATTERN, network):
            raise DataDirError(
                f"'{network}' cannot name a network: use 1 to 32 of a-z, 0-9 and -, not beginning with -"
            )
        return cls(home.expanduser().absolute() / network)

    @property
    def genesis(self) -> Path:
        """The network's genesis file."""
        return self.root / "genesis.json"

    @property
    def config(self) -> Path:
        """The node's settings."""
        return self.root / CONFIG_FILE_NAME

    @property
    def key(self) -> Path:
        """The node's identity, mode 0600."""
        return self.root / "key"

    @property
    def card(self) -> Path:
        """The member card, which holds nothing secret."""
        return self.root / "card.json"

    @property
    def store(self) -> Path:
        """Rounds, reports, certificates, scores and embeddings."""
        return self.root / "store.sqlite"

    @property
    def signer(self) -> Path:
        """What the key has signed: apart from the store, and never to be replaced by an older copy."""
        return self.root / "signer.sqlite"

    @property
    def gallery(self) -> Path:
        """Consensus embeddings kept to be searched."""
        return self.root / "gallery.sqlite"

    @property
    def search(self) -> Path:
        """What a validator's HTTP API searches: follows from the store, and may be deleted."""
        return self.root / "search.sqlite"

    @property
    def blobs(self) -> Path:
        """Views, reveals and report bodies by digest."""
        return self.root / "blobs"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"

    @property
    def control_socket(self) -> Path:
        """Where the running node answers the command line."""
        return self.root / "control.sock"

    @property
    def lock_file(self) -> Path:
        """Names the running process; the lock is on the file, not in its content."""
        return self.root / "lock"

    def lock(self) -> DataDirLock:
        """Take the directory for this process. Raises DataDirLocked naming the holder, or DataDirError."""
        path = self.lock_file
        try:
            # Python opens files not inheritable: a worker that outlives the node does not keep the lock.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataDirError(os_error_sentence("open", path, error)) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Fixed width: a shorter pid overwrites a longer one entirely.
            os.pwrite(descriptor, str(os.getpid()).ljust(_PID_WIDTH).encode(), 0)
            os.fsync(descriptor)
        except BlockingIOError:
            holder = os.pread(descriptor, _PID_WIDTH, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirLocked(
                f"{self.root} is in use by process {holder}: stop it (`kill {holder}`) or give this node "
                "another --home"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise DataDirError(os_error_sentence("write", path, error)) from None
        return DataDirLock(descriptor)


def _make_private(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The directory holds a key and what the node has signed: nobody else's business.
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise DataDirError(os_error_sentence("create the directory", path, error)) from None
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise DataDirError(f"cannot write in {path}: change its owner or mode, or choose another --home")
