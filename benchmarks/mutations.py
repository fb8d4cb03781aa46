"""Breaks scoring on purpose, one line at a time, and says which test notices.

Each fault is put into a copy of the checkout, where the tests of scoring are run until the first one fails.
Before that they have to pass without a fault, which also compiles the kernels that stay as they are.
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
INTRINSICS = ("scoring/compiled/__init__.py", "scoring/compiled/registers.py")
"""A change of these reaches no kernel that is kept on disk."""
NEAREST = ("products", "kernels", "agreement", "terms", "rule", "weights")
"""Tests that run first: they are quick, and say more of what is wrong."""
WITHIN_S = 1200


class NoAnswerError(Exception):
    """The tests neither passed nor failed."""


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
        "out[first : first + wide] = columns[k - 1, :wide]",
        "out[first : first + wide] = columns[min(k, count - 1), :wide]",
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
        "return (values - self.zero_at).div_(self.one_at - self.zero_at).clamp_(0.0, 1.0)",
        "return (values - self.one_at).div_(self.zero_at - self.one_at).clamp_(0.0, 1.0)",
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
        "a role's cosines counted with the next role's",
        "scoring/compiled/pairs.py",
        "            total[j, i] += total[i, j]\n            total[i, j] = 0",
        "            total[j, i] += total[i, j]",
    ),
    Fault(
        "half of the pairs not seen",
        "scoring/pair_sums.py",
        "return table[part].tril(start - 1) + table[:, part].tril(-start - 1).T",
        "return table[part].tril(start - 1)",
    ),
    Fault(
        "likeness with those before only",
        "scoring/pair_sums.py",
        "        table[part.stop :, part] = table[part, part.stop :].T\n",
        "",
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
        "agreement.amin(0), alike",
        "agreement.amax(0), alike",
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
        "_agreement(squared[item], norms, here, sound[look],",
        "_agreement(squared[item], norms, here, peers[item],",
    ),
    Fault(
        "strangers stay peers",
        "scoring/validity.py",
        "peers = agreed >= rule.peer_similarity_min",
        "peers = agreed >= -1.0",
    ),
    Fault(
        "the lazy stay peers",
        "scoring/validity.py",
        "heard = peers & (share >= rule.peer_share_min)",
        "heard = peers",
    ),
    Fault(
        "copies drag medians",
        "scoring/clones.py",
        "(others[one] & kept).sum() < rule.heard_of_a_kind",
        "others[one].sum() >= 0",
    ),
    Fault(
        "medians hear who leaks",
        "scoring/hearing.py",
        "lenient = heard & (rule.leak_gate(leak) == 1)",
        "lenient = heard",
    ),
    Fault(
        "medians hear who leaks a little",
        "scoring/hearing.py",
        "strict = heard & (leak <= rule.heard_leak_max)",
        "strict = lenient",
    ),
    Fault(
        "the better of two judgements is the worse",
        "scoring/hearing.py",
        "_passed(other, rule) > _passed(found, rule)",
        "_passed(other, rule) < _passed(found, rule)",
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
    Fault(
        "rows read beyond the last",
        "scoring/compiled/registers.py",
        'builder.icmp_signed("<", row, last)',
        'builder.icmp_signed("<", row, count.type(1 << 32))',
    ),
    Fault(
        "first block of coordinates only",
        "scoring/compiled/rows.py",
        "for start in range(0, whole, block):",
        "for start in range(0, min(whole, block), block):",
    ),
    Fault(
        "coordinates beyond whole registers",
        "scoring/compiled/rows.py",
        "if whole < dimension:",
        "if whole > dimension:",
    ),
    Fault(
        "close pairs not subtracted",
        "scoring/compiled/rows.py",
        "if row[j] < _CLOSE * (norms[i] + norms[j]):",
        "if row[j] < np.float32(0):",
    ),
    Fault(
        "rows scaled once a close pair",
        "scoring/compiled/rows.py",
        "for n in range(0 if scaled else count):",
        "for n in range(count):",
    ),
    Fault(
        "first temperature of all pairs",
        "scoring/compiled/fragments.py",
        "_likely(cosines[n, i], here, temperatures[t], row)",
        "_likely(cosines[n, i], here, temperatures[0], row)",
    ),
    Fault(
        "first temperature of the own pair",
        "scoring/compiled/fragments.py",
        "own = (np.float64(cosines[n, i, i]) - 1) / temperatures[t]",
        "own = (np.float64(cosines[n, i, i]) - 1) / temperatures[0]",
    ),
    Fault(
        "columns beyond whole widths",
        "scoring/compiled/pairs.py",
        "for first in range(0, count, width):\n        wide = min(width, count - first)\n        for j",
        "for first in range(0, count // width * width, width):\n        wide = width\n        for j",
    ),
    Fault(
        "lower median of pairs",
        "scoring/compiled/pairs.py",
        "ends[1] = lower if int(pairs - same) % 2 == 1 or split > rank + 1 else upper",
        "ends[1] = lower",
    ),
    Fault(
        "borderline decided once",
        "scoring/compiled/pairs.py",
        "same = same and sound[look, i] == sound[0, i]",
        "same = same and True",
    ),
    Fault(
        "share of nothing read",
        "scoring/compiled/rows.py",
        "if factor != 0 and share != 0:",
        "if factor == factor and share == share:",
    ),
    Fault(
        "poisoned answers lose nothing",
        "scoring/compiled/first_look.py",
        "losses[n, i] = _literal_loss(full, mask, inverse, masks, n, i, dimension) if known else np.nan",
        "losses[n, i] = _literal_loss(full, mask, inverse, masks, n, i, dimension) if known else 0.0",
    ),
    Fault(
        "means over what was not dealt",
        "scoring/compiled/first_look.py",
        "if factor > 0 and dealt[r, i]:",
        "if factor > 0:",
    ),
    Fault(
        "medians hear everyone",
        "scoring/item_terms.py",
        "present = [counted & one for one in heard]",
        "present = [counted for one in heard]",
    ),
    Fault(
        "heard by their full views only",
        "scoring/peers.py",
        "heard.append(heard_by_medians(cosine_sum, here[place].double().cpu(), rule))",
        "heard.append(heard[0] if heard else heard_by_medians(cosine_sum, here[0].double().cpu(), rule))",
    ),
    Fault(
        "lower of two middles",
        "scoring/compiled/medians.py",
        "low, high, target = planes[(here - 1) // 2], planes[here // 2], out",
        "low, high, target = planes[(here - 1) // 2], planes[(here - 1) // 2], out",
    ),
    Fault(
        "distances of everyone",
        "scoring/role_distances.py",
        "kept.take(encoders, 1).take(encoders, 2)",
        "kept[:, : len(encoders), : len(encoders)].copy()",
    ),
    Fault("one round of caps", "scoring/compiled/caps.py", "for _ in range(rounds):", "for _ in range(1):"),
    Fault(
        "last offender instead of the worst",
        "scoring/compiled/caps.py",
        "given_up[m] = own if own > given_up[m] else given_up[m]",
        "given_up[m] = own",
    ),
    Fault(
        "capped shares do not sum to 1", "scoring/compiled/caps.py", "share[n] /= total", "share[n] /= 1.0"
    ),
)


def copied(source: Path, folder: Path, left_out: str) -> None:
    """Copy what the tests need, but for files of that pattern."""
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, folder / part, ignore=shutil.ignore_patterns(left_out))
        else:
            shutil.copy(source / part, folder / part)


def first_failure(folder: Path) -> str | None:
    """The first test of scoring that fails in a copy of the checkout, or None.

    A test that ends for lack of time would have noticed nothing: tests have none to keep, but all together
    WITHIN_S. Raises NoAnswerError if pytest ends otherwise.
    """
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    every = [one for one in sorted(folder.glob(TESTS)) if not any(name in one.stem for name in WITHOUT)]
    near = [one for one in every if one.stem.removeprefix("test_scoring_") in NEAREST]
    for files in (near, [one for one in every if one not in near]):
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=0"]
        try:
            ended = subprocess.run(
                [*command, *map(str, files)],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                timeout=WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NoAnswerError(f"not done after {WITHIN_S} s") from error
        failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if ended.returncode not in (0, 1) or bool(ended.returncode) != bool(failed):
            raise NoAnswerError(f"pytest ended with {ended.returncode}\n{ended.stdout[-2000:]}")
        if failed:
            return failed[0].split(" - ")[0].removeprefix("FAILED ")
    return None


def noticed_by(fault: Fault, sound: Path, folder: Path) -> str | None:
    """The first test that fails once the fault is in, or None. Raises NoAnswerError as `first_failure` does.

    sound: a copy with its compiled kernels. One is compiled again if its file has changed, but not if an
    intrinsic in it has.
    """
    copied(sound, folder, "__pycache__" if fault.file in INTRINSICS else "*.pyc")
    path = folder / fault.file
    code = path.read_text()
    if code.count(fault.right) != 1:
        raise SystemExit(f"{fault.name}: {fault.file} has its line {code.count(fault.right)} times, not once")
    path.write_text(code.replace(fault.right, fault.wrong))
    return first_failure(folder)


def main() -> int:
    """Try every fault; one line each, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON at the end instead of lines")
    parser.add_argument("--fault", action="append", help="only this fault, by name; may be repeated")
    given = parser.parse_args()
    found: dict[str, str | None] = {}
    with tempfile.TemporaryDirectory(prefix="deltamesh-sound-") as sound:
        copied(ROOT, Path(sound), "__pycache__")
        if failure := first_failure(Path(sound)):
            raise SystemExit(f"{failure} fails without any fault")
        for fault in FAULTS:
            if given.fault and fault.name not in given.fault:
                continue
            with tempfile.TemporaryDirectory(prefix="deltamesh-fault-") as folder:
                try:
                    found[fault.name] = noticed_by(fault, Path(sound), Path(folder))
                except NoAnswerError as error:
                    found[fault.name] = None
                    sys.stderr.write(f"{fault.name}: {error}\n")
            if not given.json:
                sys.stdout.write(f"{fault.name:34} {found[fault.name] or 'NOT NOTICED'}\n")
                sys.stdout.flush()
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
