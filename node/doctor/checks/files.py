"""The data directory: its files, who may read them, who holds it, and whether its databases can be read."""

from __future__ import annotations

import fcntl
import os
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from config.datadir import SOCKET_PATH_BYTES_MAX, DataDir
from node.api.guard.tokens import FILE_NAME as TOKENS_FILE_NAME
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Role, Subject
from node.membership import chain_path, pool_path
from node.status import Liveness, process_exists
from node.store.database import Access, connect
from node.store.errors import StoreError
from node.store.limits import StoreLimits
from node.store.schema import MIGRATIONS

_INIT: Final = "`deltamesh init`, or name the node's place with --home and --network"
QUICK_CHECK_BYTES_MAX: Final = 64 << 20
"""A larger database is not read through: the node itself notices damage when it meets it."""


class Held(Enum):
    """Who has the lock of a data directory."""

    NOBODY = "nobody"
    PROCESS = "process"
    """A process that is there."""
    UNSEEN = "unseen"
    """A process that cannot be seen from here, in another container for one."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock, and the process that its file names (None: none)."""

    held: Held
    pid: int | None


def check_directory(subject: Subject) -> list[Finding]:
    """Whether the directory is whole and this user's."""
    name, directory = "directory", subject.directory
    root = directory.root
    if not root.is_dir():
        if root.exists():
            return [error(name, f"{root} is not a directory", "a node lives in one", "move it away")]
        return [warning(name, f"there is no node in {root}", "nothing was set up under this name", _INIT)]
    found = []
    status = root.stat()
    if status.st_uid != os.geteuid():
        found.append(
            error(
                name,
                f"{root} belongs to user {status.st_uid}, this is user {os.geteuid()}",
                "the node could not write there, or its owner no longer",
                f"run deltamesh as its owner, or `chown -R {os.geteuid()} {root}`",
            )
        )
    elif not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        found.append(
            error(name, f"{root} cannot be written", "the node keeps all it has there", f"`chmod 700 {root}`")
        )
    if len(os.fsencode(directory.control_socket)) > SOCKET_PATH_BYTES_MAX:
        found.append(
            error(
                name,
                f"the path {root} has {len(os.fsencode(root))} bytes",
                f"a socket in it would have a path over {SOCKET_PATH_BYTES_MAX} bytes, which Linux refuses",
                "choose a shorter --home",
            )
        )
    return found + _missing(directory, subject.role) or [
        ok(name, f"{root}, of {_who(subject.role)}, complete")
    ]


def _who(role: Role) -> str:
    return "a validator" if role is Role.VALIDATOR else "an encoder"


def _missing(directory: DataDir, role: Role) -> list[Finding]:
    name, root = "directory", directory.root
    found = []
    if not directory.key.exists():
        found.append(
            error(
                name,
                f"there is no key in {root}",
                "the key is the node's identity",
                f"put it back from a backup, or make a new node: {_INIT}",
            )
        )
    parts = {
        pool_path(directory): "the pool it committed to; without it, it cannot deal",
        chain_path(directory): "the seed of its mask secrets; without it, it cannot deal",
    }
    if role is Role.VALIDATOR:
        for path, why in parts.items():
            if not path.exists():
                remedy = "put it back from a backup: the network knows the old one"
                found.append(error(name, f"there is no {path.name} in {root}", why, remedy))
    if directory.key.exists() and not directory.genesis.exists():
        found.append(
            note(
                name,
                f"there is no genesis in {root} yet",
                "the node was prepared, and has not joined a network",
                "`deltamesh init --genesis FILE` with the file of the network, when it is there",
            )
        )
    database, mark = directory.signer.exists(), directory.signer.with_name("signer.sqlite.watermark").exists()
    if database != mark:
        gone = "signer.sqlite" if mark else "signer.sqlite.watermark"
        found.append(
            warning(
                name,
                f"{gone} is missing, its companion is there",
                "the signer waits some rounds, lest it contradict what it signed before",
                "let it wait; never put an older copy there (docs/operations.md, The signer)",
            )
        )
    return found


def check_secrets(subject: Subject) -> list[Finding]:
    """Who can read what only the node should."""
    name, directory = "secrets", subject.directory
    if not directory.root.is_dir():
        return [ok(name, "there are none yet")]
    files = [directory.key, chain_path(directory), pool_path(directory), directory.signer]
    files += [directory.signer.with_name(f"signer.sqlite.{part}") for part in ("watermark", "lock")]
    files.append(directory.root / TOKENS_FILE_NAME)
    if subject.settings.token is not None:
        files.append(directory.config)
    found: list[Finding] = []
    root = directory.root
    mode = stat.S_IMODE(root.stat().st_mode)
    if mode & 0o077:
        found.append(
            warning(
                name,
                f"{root} is open to other users (mode {mode:04o})",
                "they see its files; a node closes it when it starts",
                f"`chmod 700 {root}`",
            )
        )
    there = [path for path in files if path.exists()]
    found += [finding for path in there for finding in _exposed(path)]
    return found or [ok(name, f"{len(there)} file{'s' * (len(there) > 1)}, none open to other users")]


def _exposed(path: Path) -> list[Finding]:
    name = "secrets"
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return [error(name, f"{path} is no file", "the node refuses to read it", f"move {path} away")]
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        return [
            error(
                name,
                f"{path} is open to other users (mode {mode:04o})",
                "the node refuses it: what it holds may be known to them",
                f"`chmod 600 {path}`; if others use this machine, begin anew with another --home",
            )
        ]
    if status.st_uid != os.geteuid() and os.geteuid() != 0:
        owner = f"{path} belongs to user {status.st_uid}"
        return [error(name, owner, "this user cannot read it", f"`chown {os.geteuid()} {path}`")]
    return []


def check_lock(subject: Subject) -> list[Finding]:
    """Whether another process has the directory."""
    status, alive = subject.status()
    pid = status.pid if status is not None and alive is not Liveness.STOPPED else None
    return judge_lock(lock_of(subject.directory.lock_file), pid, stale=status is not None and pid is None)


def lock_of(path: Path) -> Lock:
    """Who holds the lock file. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return Lock(Held.NOBODY, None)
    try:
        text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        pid = int(text) if text.isascii() and text.isdigit() else None
        try:
            # Shared, and given back at once: two who look do not disturb each other.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            seen = pid is not None and process_exists(pid)
            return Lock(Held.PROCESS if seen else Held.UNSEEN, pid)
        return Lock(Held.NOBODY, pid)
    finally:
        os.close(descriptor)


def judge_lock(lock: Lock, running: int | None, *, stale: bool) -> list[Finding]:
    """`running`: the process that the status file says is at work; `stale`: it names one that is gone."""
    name = "lock"
    match lock.held:
        case Held.NOBODY if stale:
            return [
                note(
                    name,
                    "nobody holds the directory, and the last node left its status behind",
                    "it was killed, or the machine stopped: it had no time to end in order",
                    "start it again; what it had begun is abandoned, nothing has to be mended",
                )
            ]
        case Held.NOBODY:
            return [ok(name, "free: a node can start")]
        case Held.PROCESS if running is not None and running == lock.pid:
            return [ok(name, f"held by the node that runs, process {lock.pid}")]
        case Held.PROCESS:
            return [
                note(
                    name,
                    f"held by process {lock.pid}",
                    "a node that starts, or a command that changes the directory",
                    f"wait, or look what it is: `ps -p {lock.pid}`",
                )
            ]
        case Held.UNSEEN:
            return [
                warning(
                    name,
                    f"held by a process that is not seen here (the file names {lock.pid or 'none'})",
                    "another container or machine runs a node on this directory; two must never share a key",
                    "stop the other one, or give this node another --home",
                )
            ]


def check_store(subject: Subject) -> list[Finding]:
    """Whether the database can be read, is of this version, and is whole."""
    path = subject.directory.store
    if not path.exists():
        return [ok("store", "there is none yet: a validator makes it when it first runs")]
    try:
        connection = connect(path, Access.READ_ONLY, StoreLimits())
    except StoreError as fault:
        return judge_store_error(str(fault), path)
    try:
        size = path.stat().st_size
        if size > QUICK_CHECK_BYTES_MAX:
            return [ok("store", f"schema {len(MIGRATIONS)}, {size >> 20} MiB, not read through")]
        said = [str(row[0]) for row in connection.execute("PRAGMA quick_check(4)")]
    finally:
        connection.close()
    if said != ["ok"]:
        return judge_store_error(f"{path} is damaged: {'; '.join(said)[:300]}", path)
    return [ok("store", f"schema {len(MIGRATIONS)}, {size / (1 << 20):.1f} MiB, whole")]


def judge_store_error(fault: str, path: Path) -> list[Finding]:
    """What to do about a database that cannot be read."""
    if "older than" in fault:
        why = "the node brings it up to date when it starts"
        return [note("store", fault, why, "start the node once, with this version")]
    return [
        error(
            "store",
            fault,
            "a node does not start with it",
            f"as it says; or stop the node and move {path} away: it fetches certified rounds anew",
        )
    ]
