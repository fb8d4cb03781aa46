"""How a process lets others go first."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_AUTOGROUP: Final = Path("/proc/self/autogroup")
_TRIES: Final = 3
_TRY_AGAIN_S: Final = 0.15


def leave_session() -> None:
    """Start a session of this process's own, where it has none yet, so that `give_way` may speak for it."""
    with suppress(PermissionError):  # it leads its process group
        os.setsid()


def give_way(autogroup: Path = _AUTOGROUP) -> None:
    """Let this process's session be as nice to others as this thread is.

    Linux shares cores out by sessions first (sched(7), "The autogroup feature"), and niceness counts within
    one only: of two processes of two sessions the nicer one gets as much as the other. Does nothing where
    there is no such feature, or where others share the session, which would be slowed as well.
    """
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_TRIES):
        try:
            autogroup.write_text(str(os.nice(0)))
        except BlockingIOError:
            # The kernel takes ten a second, of all processes.
            time.sleep(_TRY_AGAIN_S)
        except OSError:
            return
        else:
            return
