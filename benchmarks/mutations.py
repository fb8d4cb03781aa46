"""Breaks scoring on purpose, one line at a time, and says which test notices.

Each fault is put into a copy of the checkout, where the tests of scoring are run until the first one fails.
A fault that no test notices ends the script with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("scoring", "protocol", "node", "config", "tests", "pyproject.toml", "docs")
TESTS = "tests/unit/test_scoring_*.py"
WITHOUT = ("worker", "task")
"""Tests of the process around scoring, which have nothing to say here."""
WITHIN_S = 600


@dataclass(frozen=True)
class Fault:
    """One line made wrong."""

    name: str
    file: str
    right: str
    wrong: str


FAULTS = (
    Fault(
        "k off by one",
        "scoring/compiled/pairs.py",
        "ranked[first : first + wide] = rows[k - 1, :wide]",
        "ranked[first : first + wide] = rows[min(k, count - 1), :wide]",
    ),
    Fault(
        "reach floor dropped",
        "scoring/compiled/pairs.py",
        "row, least = distance[j], max(farthest[j], floor)",
        "row, least = distance[j], farthest[j]",
    ),
    Fault(
        "neighbours without ties",
        "scoring/compiled/pairs.py",
        "if row[i] <= farthest[i] else 0.0\n            near[i] += np.float32(1) if row[i] <= farthest[i]",
        "if row[i] < farthest[i] else 0.0\n            near[i] += np.float32(1) if row[i] < farthest[i]",
    ),
    Fault(
        "gates inverted",
        "scoring/rule.py",
        "return ((values - self.zero_at) / (self.one_at - self.zero_at)).clamp(0.0, 1.0)",
        "return ((values - self.one_at) / (self.zero_at - self.one_at)).clamp(0.0, 1.0)",
    ),
    Fault(
        "NaN let through",
        "scoring/compiled/first_look.py",
        "pointed = np.isfinite(norm) and norm > norm_min",
        "pointed = not norm <= norm_min",
    ),
    Fault(
        "not centred", "scoring/compiled/rows.py", "off = factor * row[p] - mean[p]", "off = factor * row[p]"
    ),
    Fault(
        "availability forgotten",
        "scoring/terms.py",
        'score = score * terms["availability"] ** rule.availability_power',
        "score = score * 1.0",
    ),
    Fault(
        "copies not counted", "scoring/clones.py", "return alike.sum(1)", "return torch.ones_like(alike[0])"
    ),
    Fault("cap dropped", "scoring/weights.py", "max(cap, 1 / float(independent))", "1.0"),
    Fault(
        "by torch, float32 products",
        "scoring/distances.py",
        "exact, middle = rows.double(), ",
        "exact, middle = rows.clone(), ",
    ),
    Fault(
        "by torch, identical rows apart",
        "scoring/distances.py",
        "squared.masked_fill_(squared < both.mul_(_RESOLUTION), 0.0)",
        "squared.clamp_min_(0.0)",
    ),
    Fault(
        "best role's outlier factor",
        "scoring/peers.py",
        "PeerTerms(outlier.amax(0)",
        "PeerTerms(outlier.amin(0)",
    ),
    Fault(
        "best role's agreement",
        "scoring/peers.py",
        "agreement.amin(0), found",
        "agreement.amax(0), found",
    ),
    Fault(
        "nearest peer is a majority",
        "scoring/rule.py",
        "return max(1, live_count // 2)",
        "return 1",
    ),
    Fault(
        "better fragment's leak",
        "scoring/fragments.py",
        "for x in found.leak]).amax(0)",
        "for x in found.leak]).amin(0)",
    ),
    Fault(
        "better fragment's innovation",
        "scoring/fragments.py",
        "for x in found.innovation]).amin(0)",
        "for x in found.innovation]).amax(0)",
    ),
    Fault(
        "paid for leaving items out",
        "scoring/discrimination.py",
        "answered.double().clamp_min(block_items_min).log()",
        "torch.full_like(answered, cosine.shape[1]).double().log()",
    ),
    Fault(
        "mask share left out",
        "scoring/compiled/fragments.py",
        "f, m, v, s = full[i], mask[i], inverse[i], share[i]",
        "f, m, v, s = full[i], mask[i], inverse[i], np.float32(0.5)",
    ),
    Fault(
        "invalid answers in the consensus",
        "scoring/consensus.py",
        "share = torch.where(valid, weight.double()[:, None], 0.0)",
        "share = weight.double()[:, None].expand(valid.shape)",
    ),
    Fault(
        "wrong answers judge right ones",
        "scoring/compiled/pairs.py",
        "_dissimilarities(squared[item], here, sound[look], apart)",
        "_dissimilarities(squared[item], here, peers[item], apart)",
    ),
    Fault(
        "strangers stay peers",
        "scoring/validity.py",
        "peers = agreed >= rule.peer_similarity_min",
        "peers = agreed >= -1.0",
    ),
    Fault(
        "copies drag medians",
        "scoring/clones.py",
        "(copies[one] & kept).sum() < rule.heard_of_a_kind",
        "copies[one].sum() >= 0",
    ),
    Fault(
        "medians hear who leaks",
        "scoring/shard_scores.py",
        'sound = heard & (rule.leak_gate(measured["leak"]) == 1)',
        "sound = heard",
    ),
    Fault(
        "mean innovation",
        "scoring/fragments.py",
        "quantile_over(x.T, counted, low, 0.0) for x in found.innovation]).amin(0)",
        "mean_over(x.T, counted, low * 0) for x in found.innovation]).amin(0)",
    ),
    Fault(
        "half of the lanes added twice",
        "scoring/compiled/registers.py",
        "for lane in (0, 1))",
        "for lane in (0, 0))",
    ),
    Fault(
        "consensus not centred",
        "scoring/compiled/rows.py",
        "total[p] += share * (factor * row[p] - mean[p])",
        "total[p] += share * factor * row[p]",
    ),
    Fault("weight of the score itself", "scoring/weights.py", ".pow(power) / mass", " / mass"),
)


def caught_by(fault: Fault, folder: Path) -> str | None:
    """The first test that fails once the fault is in, or None."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    path = folder / fault.file
    code = path.read_text()
    if code.count(fault.right) != 1:
        raise SystemExit(f"{fault.name}: {fault.file} has its line {code.count(fault.right)} times, not once")
    path.write_text(code.replace(fault.right, fault.wrong))
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    # Compiled before any test's time runs: a test that ends for lack of time has noticed nothing.
    compiles = [sys.executable, "-c", "from scoring import warm_up; warm_up()"]
    subprocess.run(compiles, cwd=folder, env=env, capture_output=True, timeout=WITHIN_S, check=False)
    files = [one for one in sorted(folder.glob(TESTS)) if not any(name in one.stem for name in WITHOUT)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *map(str, files)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if ended.returncode == 0:
        return None
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ended.returncode != 1 or not failed or "Failed: Timeout" in ended.stdout:
        raise SystemExit(f"{fault.name}: pytest ended with {ended.returncode}\n{ended.stdout[-2000:]}")
    return failed[0].split(" - ")[0].removeprefix("FAILED ")


def main() -> int:
    """Try every fault; one line each, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON at the end instead of lines")
    parser.add_argument("--fault", action="append", help="only this fault, by name; may be repeated")
    given = parser.parse_args()
    found: dict[str, str | None] = {}
    for fault in FAULTS:
        if given.fault and fault.name not in given.fault:
            continue
        with tempfile.TemporaryDirectory(prefix="deltamesh-fault-") as folder:
            found[fault.name] = caught_by(fault, Path(folder))
        if not given.json:
            sys.stdout.write(f"{fault.name:34} {found[fault.name] or 'NOT NOTICED'}\n")
            sys.stdout.flush()
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
