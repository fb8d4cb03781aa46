"""Every hostile file is refused with one clear sentence, before memory is spent on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from node.corpus import CorpusError
from node.modalities import FileError, items_of_file
from tests.support.hostile_files import ATTACKS, SOUND_FILES, Attack

GROWTH_MIB_MAX = 32
"""Of a process's peak, by meeting one attack after it has read sound files."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_items_of_file__refuses_a_hostile_file_and_says_why(attack: Attack, tmp_path: Path) -> None:
    path = tmp_path / attack.name
    attack.write(path)
    with pytest.raises(FileError, match=attack.reason) as caught:
        items_of_file(attack.modality, path)
    message = str(caught.value)
    assert isinstance(caught.value, CorpusError)
    assert attack.name in message
    # What, why, and after the last colon what to do.
    assert len(message.rsplit(": ", 1)[-1]) > 8
    assert message.endswith(".")
    assert len(message) < 500 + len(str(path))


MEASURE = """
import sys
from pathlib import Path
from node.modalities import FileError, items_of_file

def peak_mib():
    # Not getrusage: what it says of a child begins with its parent's peak.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

folder = Path(sys.argv[1])
before = 0.0
for line in (folder / "list").read_text().split("\\n"):
    modality, name = line.split(" ", 1)
    try:
        items_of_file(modality, folder / name)
        before = peak_mib()
    except FileError:
        print(f"{peak_mib() - before:.1f} {name}")
        before = max(before, peak_mib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_items_of_file__spends_little_memory_on_any_attack(tmp_path: Path) -> None:
    files = [*SOUND_FILES, *ATTACKS]
    for file in files:
        file.write(tmp_path / file.name)
    (tmp_path / "list").write_text("\n".join(f"{file.modality} {file.name}" for file in files))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    growths = [line.split(" ", 1) for line in measured.stdout.splitlines()]
    assert [name for _, name in growths] == [attack.name for attack in ATTACKS]
    growth_mib, name = max((float(growth), name) for growth, name in growths)
    assert growth_mib <= GROWTH_MIB_MAX, name
