"""Machines for tests: Linux network namespaces on one bridge, each with a home directory of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.cli import ROOT

SUBNET = "10.77.0"
LISTENS = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1 and ::1, as the kernel's tables write them."""
NETWORK = "ours"
COMMAND_TIMEOUT_S = 60.0
STOP_WITHIN_S = 12.0
LOOK_EVERY_S = 0.2


def why_not() -> str | None:
    """Why this machine has no network namespaces for us, or None when it has."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no `ip` command: install iproute2"
    probe = f"dm{os.getpid()}probe"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"`ip netns add` is refused: {done.stderr.strip()}"
    _ip("netns", "del", probe)
    return None


@dataclass
class Host:
    """One machine: a name, an address, a home directory, and the nodes that run on it."""

    name: str
    namespace: str
    address: str
    home: Path
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What each command wrote to standard error."""

    def sh(self, line: str, *, stdin: str = "", code: int = 0) -> str:
        """Run a line of shell as its operator would; standard output. Fails unless it ends with `code`."""
        done = subprocess.run(
            self._inside(line),
            cwd=self.home,
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        said = f"{self.name}$ {line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        assert done.returncode == code, f"exit code {done.returncode} instead of {code}: {said}"
        assert "Traceback" not in done.stderr, said
        self.remarks.append(done.stderr)
        return done.stdout

    def json(self, line: str) -> Any:
        """The JSON document a command prints."""
        return json.loads(self.sh(line))

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """Start a command that stays; its output goes to a file in the home directory."""
        with (self.home / f"output-{len(self.nodes)}.log").open("wb") as output:
            process = subprocess.Popen(
                self._inside(f"exec {line}"),
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes.append(process)
        return process

    @property
    def data(self) -> Path:
        """Where its nodes keep what they know: the default place of its user."""
        return self.home / ".local/share/deltamesh" / NETWORK

    def stop(self) -> list[int]:
        """Stop its nodes as an operator does; exit codes of all that ever ran here."""
        _stop(self.nodes)
        return [node.returncode for node in self.nodes]

    def output(self) -> str:
        """What its nodes have printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.home.glob("output-*.log")))

    def listening(self) -> list[int]:
        """TCP ports that other machines reach here."""
        ports = []
        for table in ("tcp", "tcp6"):
            for line in self.sh(f"cat /proc/net/{table}").splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, port = local.rpartition(":")
                if state == LISTENS and address not in LOOPBACK:
                    ports.append(int(port, 16))
        return sorted(ports)

    def _inside(self, line: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, "sh", "-c", line]

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DELTAMESH_", "XDG_"))}
        path = f"{self.home.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {
            **kept,
            "HOME": str(self.home),
            "PATH": path,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "DELTAMESH_NETWORK": NETWORK,
        }


@contextmanager
def machines(root: Path, *names: str) -> Iterator[dict[str, Host]]:
    """Hosts that reach one another and nothing else; their nodes and namespaces are gone afterwards."""
    hub = f"dm{os.getpid()}hub"
    _install(root / "bin")
    hosts = {
        name: Host(name, f"dm{os.getpid()}{name}", f"{SUBNET}.{number}", root / name)
        for number, name in enumerate(names, start=1)
    }
    made: list[str] = []
    try:
        _ip("netns", "add", hub)
        made.append(hub)
        _ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", hub, "link", "set", "bridge", "up")
        for host in hosts.values():
            host.home.mkdir(parents=True)
            _ip("netns", "add", host.namespace)
            made.append(host.namespace)
            _ip("-n", hub, "link", "add", host.name, "type", "veth", "peer", "eth0", "netns", host.namespace)
            _ip("-n", hub, "link", "set", host.name, "master", "bridge", "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
        yield hosts
    finally:
        _stop([node for host in hosts.values() for node in host.nodes])
        for namespace in reversed(made):
            _ip("netns", "del", namespace)


def until(condition: Callable[[], Any], within_s: float, what: str, hosts: Iterator[Host] | Any = ()) -> Any:
    """The first true value of a condition; fails with what the hosts printed when it stays false."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(LOOK_EVERY_S)
    said = "\n".join(f"--- {host.name}\n{host.output()[-6000:]}" for host in hosts)
    raise AssertionError(f"not within {within_s:g} s: {what}\n{said}")


def _install(folder: Path) -> None:
    """The `deltamesh` command, of this very checkout and interpreter."""
    folder.mkdir(parents=True)
    command = folder / "deltamesh"
    path = shlex.quote(str(ROOT))
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.quote(sys.executable)} -P -m node.cli "$@"\n'
    )
    command.chmod(0o755)


def _stop(nodes: list[subprocess.Popen[bytes]]) -> None:
    for node in nodes:
        if node.poll() is None:
            node.terminate()
    deadline_s = time.monotonic() + STOP_WITHIN_S
    for node in nodes:
        try:
            node.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
