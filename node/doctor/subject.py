"""What the checks look at: a node's settings and directory, opened by none of them for writing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from config.datadir import DataDir
from config.errors import ConfigError
from config.genesis import load_genesis
from config.settings import Settings, file_place, load_settings, settings_faults
from node.clock import now_ms
from node.doctor.placing import flags_given
from node.doctor.visiting import Visit, visit_all
from node.membership import is_prepared_validator
from node.status import STATUS_FILE_NAME, Liveness, NodeStatus, StatusError, liveness, read_status
from protocol.genesis import Genesis


class Reach(Enum):
    """How far checks may go."""

    NETWORK = "network"
    """They dial the validators and bootstrap peers."""
    OFFLINE = "offline"
    """They stay on this machine."""


class Role(Enum):
    """What the node in a directory is."""

    VALIDATOR = "validator"
    ENCODER = "encoder"
    NOT_SET_UP = "not set up"
    """There is no directory, or no key in it."""


@dataclass(frozen=True)
class Subject:
    """One node to look at. What several checks need is looked up once."""

    settings: Settings
    faults: tuple[str, ...]
    """Why the settings would be refused; then `settings` holds none of them but home and network."""
    config_file: Path
    reach: Reach
    flags: str = ""
    """With which the user named the node; empty where none was needed."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _visits: list[tuple[Visit, ...]] = field(default_factory=list, repr=False)

    @property
    def directory(self) -> DataDir:
        """Its paths; nothing is created, and no mode changed."""
        return DataDir(self.settings.directory.absolute())

    @property
    def role(self) -> Role:
        """By what lies in the directory."""
        directory = self.directory
        if is_prepared_validator(directory):
            return Role.VALIDATOR
        return Role.ENCODER if directory.key.exists() else Role.NOT_SET_UP

    def genesis(self) -> Genesis | None:
        """The network, or None where there is none that can be read; `membership` says why."""
        try:
            return load_genesis(self.directory.genesis)
        except ConfigError:
            return None

    def status(self) -> tuple[NodeStatus | None, Liveness]:
        """What the node last said. One that cannot be read is told by `running`."""
        try:
            found = read_status(self.directory.root / STATUS_FILE_NAME)
        except StatusError:
            return None, Liveness.STOPPED
        return found, Liveness.STOPPED if found is None else liveness(found, now_ms())

    def running(self) -> NodeStatus | None:
        """What the node says now; None where it does not run."""
        status, alive = self.status()
        return status if alive is Liveness.RUNNING else None

    def visits(self) -> tuple[Visit, ...]:
        """What came of dialling the peers, once for all checks that ask."""
        with self._lock:
            if not self._visits:
                self._visits.append(visit_all(self))
            return self._visits[0]


def subject_of(home: Path | None, network: str | None, reach: Reach) -> Subject:
    """The node that these options name. Raises ConfigError where they name none."""
    flags = {"home": home, "network": network}
    place = file_place(flags)
    faults = tuple(settings_faults(flags))
    given = flags_given(home, network)
    if not faults:
        return Subject(load_settings(flags), (), place, reach, given)
    placed = {"home": place.parents[1], "network": place.parent.name}
    # The defaults: what stands beside a mistake may be one too.
    return Subject(load_settings(placed, {}, Path("/dev/null")), faults, place, reach, given)
