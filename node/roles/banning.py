"""A running node refuses whom its operator has banned: it looks at the file, and tells its host."""

from __future__ import annotations

import structlog
import trio

from config.datadir import DataDir
from node.bans import FILE_NAME, Ban, BansError, read_bans
from node.clock import now_ms
from node.network.host import Host

LOOK_EVERY_S = 0.5

log = structlog.get_logger(__name__)

_Seen = tuple[int, int, int] | None


class Banning:
    """Keeps the bans of a data directory in force on a host."""

    def __init__(self, directory: DataDir, host: Host) -> None:
        self._directory = directory
        self._host = host
        self._bans: tuple[Ban, ...] = ()
        self._seen: _Seen = None
        self._in_force: frozenset[str] = frozenset()

    def start(self) -> None:
        """Put the bans in force that there are. Raises BansError where the file is damaged."""
        self._seen = self._look()
        self._bans = read_bans(self._directory)
        self._enforce()

    async def run(self) -> None:
        """Follow the file and the time, forever; a file that is damaged meanwhile changes nothing."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._bans = await trio.to_thread.run_sync(read_bans, self._directory)
                except BansError as error:
                    log.warning("bans.unreadable", reason=str(error))
            self._enforce()

    def _look(self) -> _Seen:
        """What changes when the file does."""
        try:
            status = (self._directory.root / FILE_NAME).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _enforce(self) -> None:
        clock_ms = now_ms()
        holding = {ban.who: ban for ban in self._bans if ban.holds(clock_ms)}
        in_force = frozenset(holding)
        if in_force == self._in_force:
            return
        for who in sorted(in_force - self._in_force):
            log.info("peer.banned", **_named(holding[who]), reason=holding[who].reason)
        for who in sorted(self._in_force - in_force):
            log.info("peer.unbanned", **_named(Ban(who, 0, None)))
        self._in_force = in_force
        keys = frozenset(ban.key for ban in holding.values() if ban.key is not None)
        addresses = frozenset(ban.who for ban in holding.values() if ban.key is None)
        self._host.deny(keys, addresses)


def _named(ban: Ban) -> dict[str, str]:
    return {"peer": ban.who[:8]} if ban.key is not None else {"address": ban.who}
