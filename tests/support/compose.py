"""The network of docker-compose.yml under test: its image, its containers, its API."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "deltamesh:test"
BUILD_S = 1_200
COMMAND_S = 240
TRACEBACK_LINES_MAX = 40
WHEELS_PORT = 48_099
"""Where folders of wheels are served from if it is free: layers are kept for one set of build arguments."""
T = TypeVar("T")


def engine_answers() -> bool:
    """Whether there is a container engine, and Compose in either of its forms."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def compose_command() -> list[str]:
    """`docker compose`, or the older `docker-compose`."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _server(handler: Callable[..., _Quiet], port: int) -> http.server.ThreadingHTTPServer:
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)


def _folders_of_wheels() -> list[Path]:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = [line.partition("=")[2].strip("'\"") for line in listed.splitlines() if ".find-links=" in line]
    return list(dict.fromkeys(Path(one) for value in found for one in value.split() if Path(one).is_dir()))


@contextmanager
def pip_settings() -> Iterator[dict[str, str]]:
    """Build arguments with which pip in a build finds what it finds here; folders are served on loopback."""
    arguments = {
        name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if name in os.environ
    }
    servers = []
    folders = _folders_of_wheels()
    try:
        for folder in folders:
            handler = functools.partial(_Quiet, directory=str(folder))
            server = _server(handler, WHEELS_PORT + len(servers))
            servers.append(server)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        if servers:
            arguments["PIP_FIND_LINKS"] = " ".join(
                f"http://127.0.0.1:{s.server_address[1]}/" for s in servers
            )
        if any(True for folder in folders for _ in folder.glob("torch-*.whl")):
            arguments["TORCH_INDEX_URL"] = ""
        yield arguments
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def build_image(image: str = IMAGE) -> float:
    """Build the image of this source; the seconds that took. DELTAMESH_IMAGE names one to take instead."""
    began_s = time.monotonic()
    with pip_settings() as arguments:
        command = ["docker", "build", "--network", "host", "-q", "-t", image]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        done = subprocess.run(
            [*command, "."], cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
    if done.returncode:
        raise AssertionError(f"the image cannot be built:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.monotonic() - began_s


def wait_for(what: str, look: Callable[[], T | None], within_s: float, every_s: float = 1.0) -> T:
    """What `look` finds, as soon as it does. AssertionError when it does not in time."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)


@dataclass
class Compose:
    """One project of docker-compose.yml: containers, network and volumes under a name of its own."""

    project: str
    image: str
    api_port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()

    @property
    def api(self) -> str:
        """Address of the API of validator-1."""
        return f"http://127.0.0.1:{self.api_port}"

    def run(self, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """A command of Compose. AssertionError where it fails."""
        command = [*compose_command(), "-p", self.project, "-f", str(ROOT / "docker-compose.yml")]
        for profile in self.profiles:
            command += ["--profile", profile]
        environment = {
            **os.environ,
            "DELTAMESH_IMAGE": self.image,
            "API_PORT": str(self.api_port),
            **self.environment,
        }
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    def down(self) -> None:
        """Remove everything, volumes too; whatever else went wrong."""
        with suppress(subprocess.TimeoutExpired):
            self.run("kill")
        self.run("down", "--volumes", "--remove-orphans", "--timeout", "20")

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine says of the containers of one service, or of all, stopped ones included."""
        filters = ["--filter", f"label=com.docker.compose.project={self.project}"]
        if service is not None:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = docker("ps", "-aq", *filters).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return found

    def get(self, path: str) -> Any:
        """The JSON document at a path of the API; None while it does not answer."""
        try:
            with urllib.request.urlopen(self.api + path, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def rounds(self, state: str) -> list[int]:
        """Numbers of the newest rounds in a state, the newest first."""
        document = self.get("/v1/rounds?limit=100") or {"rounds": []}
        return [one["round"] for one in document["rounds"] if one["state"] == state]


def docker(*arguments: str, check: bool = True) -> str:
    """Standard output of a `docker` command. AssertionError where it fails."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert not check or done.returncode == 0, f"docker {' '.join(arguments[:3])}: {done.stderr[-2000:]}"
    return done.stdout


def status_in(container: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the node in a container says of itself; None while it does not run."""
    script = (
        'deltamesh status --json --home "$(cat /tmp/deltamesh-home 2>/dev/null || echo "$DELTAMESH_HOME")"'
    )
    said = docker("exec", container["Id"], "sh", "-c", script, check=False)
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError:
        return None
    return found if found.get("state") == "running" else None


def processes_in(container: Mapping[str, Any]) -> dict[int, tuple[str, str]]:
    """State and command line of a container's processes, by their ids outside; none once it has stopped."""
    said = docker("top", container["Id"], "-o", "pid,stat,args", check=False)
    rows = [line.split(maxsplit=2) for line in said.splitlines()[1:]]
    return {int(pid): (state, words) for pid, state, words in rows}


def log_lines(container: Mapping[str, Any]) -> list[str]:
    """All that a container has written."""
    done = subprocess.run(
        ["docker", "logs", container["Id"]], capture_output=True, text=True, timeout=COMMAND_S, check=True
    )
    return (done.stdout + done.stderr).splitlines()


def log_errors(container: Mapping[str, Any]) -> list[str]:
    """Lines of a container's log that tell of an error, or are no log lines but a traceback, with its end."""
    found = []
    lines = log_lines(container)
    for number, line in enumerate(lines):
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if isinstance(document, dict):
            if document.get("level") in ("error", "critical"):
                found.append(line)
        elif line.startswith("Traceback"):
            found += lines[number : number + TRACEBACK_LINES_MAX]
        elif line.startswith("error:"):
            found.append(line)
    return found


if __name__ == "__main__":
    sys.stdout.write(f"built {IMAGE} in {build_image():.0f} s\n")
