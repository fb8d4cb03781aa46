"""docs/protocol.md says what the code does: fields, limits, parameters, rules and their order."""

from __future__ import annotations

import ast
import re

import pytest

from config.presets import PRESETS
from config.settings import Settings
from node.cli.dispute_view import TOLERANCE_REASON
from protocol.epochs.horizon import CONVICTED_EPOCHS, EVIDENCE_EPOCHS
from protocol.epochs.record import EVIDENCE_MAX, TABLE_BYTES_MAX, TRANSFERS_MAX
from protocol.epochs.stakes import CARDS_BYTES_MAX, TRANSIT_PARTS
from protocol.genesis import MEMBERS_MAX, VALIDATORS_MAX, NetworkParameters
from protocol.gossip_rules import CLOCK_SKEW_MS, EVIDENCE_ROUNDS_KEPT, ROUNDS_KEPT, Topic
from protocol.masks import MASKS_MAX, SHARE_PERCENT_MIN, SPANS_MAX, UNITS_MIN
from protocol.messages import BODIES, Kind
from protocol.modalities import MODALITIES
from protocol.report import BODY_BYTES_MAX
from protocol.rounds.attester import ANNOUNCE_AFTER_MS, EXPIRY_SLOTS
from protocol.statement import ENVELOPE_BYTES_MAX, Envelope
from tests.support.documents import ROOT, read

PAGE = read("docs/protocol.md")


def section(title: str) -> str:
    """The text under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {title}"
    return found[1]


def flat(title: str) -> str:
    """The same, however its lines are broken."""
    return " ".join(section(title).split())


def first_cells(text: str) -> list[str]:
    """The code spans that begin the rows of a table."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("kind", list(Kind))
def test_messages__have_the_fields_of_the_page_in_its_order(kind: Kind) -> None:
    assert tuple(first_cells(section(kind.value.capitalize()))) == BODIES[kind].__struct_fields__


def test_stake_transfers__have_the_limits_of_the_page() -> None:
    text = flat("Epochs")
    assert f"at most {TRANSFERS_MAX} transfers of an eighth of all stake together" in text
    assert TRANSIT_PARTS == 8
    assert f"less than one part in {VALIDATORS_MAX:,} of all stake" in text
    assert f"{VALIDATORS_MAX:,} validators, {CARDS_BYTES_MAX >> 10} KiB of cards" in text


def test_envelope__has_the_fields_of_the_page() -> None:
    assert tuple(first_cells(section("Bytes"))) == Envelope.__struct_fields__
    assert f"at most {ENVELOPE_BYTES_MAX >> 10} KiB" in flat("Bytes")


def test_parameters__are_those_of_the_presets() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", section("Genesis"), re.MULTILINE)
    assert tuple(name for name, _, _ in rows) == NetworkParameters.__struct_fields__
    for name, local, test in rows:
        assert local == str(getattr(PRESETS["localnet"].parameters, name)), name
        assert test == str(getattr(PRESETS["testnet"].parameters, name)), name


def test_limits__are_those_of_the_code() -> None:
    items = flat("Items and masks")
    table = [line for line in section("Items and masks").splitlines() if line.startswith("| `")]
    rows = {cells[0].strip("` "): cells for cells in (line.strip("| ").split(" | ") for line in table)}
    assert set(rows) == set(MODALITIES)
    for name, modality in MODALITIES.items():
        assert f"{SHARE_PERCENT_MIN} to {modality.share_percent_max} %" in rows[name][4]
        assert f"{modality.item_bytes_max:,} bytes" in rows[name][5]
        assert ("removed" in rows[name][3]) is not modality.masks_keep_size
    assert f"1 to {SPANS_MAX} spans of units" in items
    assert f"fewer than {UNITS_MIN} units" in items
    assert f"up to {MASKS_MAX}." in items
    genesis = flat("Genesis")
    assert f"up to {VALIDATORS_MAX:,} validators and {MEMBERS_MAX:,} encoders" in genesis
    assert f"| `body_bytes` | {BODY_BYTES_MAX >> 20} MiB |" in section("Report")
    assert (EXPIRY_SLOTS, ANNOUNCE_AFTER_MS) == (3, 2_000)
    assert "three slots after its own began" in flat("One round")
    assert "after 2 s others do" in flat("Quorum and certificate")
    epochs = flat("Epochs")
    assert f"at most {EVIDENCE_EPOCHS} epochs behind the newest" in epochs
    assert f"stays in the table for {CONVICTED_EPOCHS} records" in epochs
    assert f"up to {TABLE_BYTES_MAX >> 20} MiB an epoch" in epochs
    assert f"at least {EVIDENCE_EPOCHS} beside the newest" in epochs
    assert f"by default {Settings.model_fields['retention_epochs'].default} (" in epochs
    assert f"At most {EVIDENCE_MAX} convictions a record" in epochs


def test_gossip_rules__reasons_are_those_of_the_page_and_no_others() -> None:
    told = set(re.findall(r"\| (?:REJECT|IGNORE): ([^|]+?) \|$", section("Gossip rules"), re.MULTILINE))
    told -= {"what is wrong"}
    assert told == {reason for reason, _ in _reasons()}


def test_gossip_rules__verdicts_are_those_of_the_page() -> None:
    for reason, verdict in _reasons():
        assert f"{verdict}: {reason} |" in section("Gossip rules")


def test_gossip_rules__order_of_the_page_is_that_of_the_code() -> None:
    page = [section("Gossip rules").index(f": {reason} |") for reason in _judge_order()]
    assert page == sorted(page)


def test_gossip_rules__windows_and_topics_are_those_of_the_page() -> None:
    text = section("Gossip rules")
    assert f"at most {ROUNDS_KEPT} rounds old, evidence {EVIDENCE_ROUNDS_KEPT} |" in text
    assert f"{CLOCK_SKEW_MS // 1000} s of skew" in text
    topic = Topic(bytes(32))
    of = {kind: topic.of(kind) for kind in Kind}
    assert {k for k, name in of.items() if name == topic.rounds} == {
        Kind.CHALLENGE,
        Kind.LOCK,
        Kind.CERTIFICATE,
        Kind.EVIDENCE,
        Kind.EPOCH_CERTIFICATE,
    }
    assert [k for k, name in of.items() if name is None] == [Kind.REVEAL]


def test_audit__terms_of_the_code_are_in_the_page_in_its_order() -> None:
    source = (ROOT / "protocol" / "audit.py").read_text()
    told = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| \d+ \| ([^|]+)\|", section("Audit"), re.MULTILINE))
    )
    raised = list(dict.fromkeys(re.findall(r'AuditError\("(\w+)"', source)))
    assert set(raised) <= set(told)
    steps = [term for term in raised if term not in ("round", "dealer", "valid", "terms", "consensus")]
    assert [told.index(term) for term in steps] == sorted(told.index(term) for term in steps)


def test_methods__are_those_the_nodes_handle() -> None:
    methods = set()
    for path in sorted((ROOT / "node").rglob("*.py")):
        methods |= set(re.findall(r'^(?:[A-Z]+_)?METHOD = "([\w.]+)"', path.read_text(), re.MULTILINE))
    assert set(first_cells(section("Over streams"))) == methods


def _rules() -> ast.Module:
    return ast.parse((ROOT / "protocol" / "gossip_rules.py").read_text())


def _reasons() -> list[tuple[str, str]]:
    """(reason, verdict) of every refusal that is written out in the rules."""
    found = []
    for node in ast.walk(_rules()):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Judgement" and len(node.args) > 1:
            verdict, text = node.args[0], _text(node.args[1])
            if text and isinstance(verdict, ast.Attribute):
                found.append((text, verdict.attr))
        elif isinstance(node, ast.Return) and node.value is not None and (text := _text(node.value)):
            found.append((text, "REJECT"))
    return found


def _judge_order() -> list[str]:
    """Reasons of the steps of `judge` itself, in their order."""
    tree = _rules()
    judge = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "judge")
    calls = [
        n for n in ast.walk(judge) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Judgement"
    ]
    calls.sort(key=lambda call: call.lineno)
    return [text for call in calls if len(call.args) > 1 and (text := _text(call.args[1]))]


def _text(node: ast.expr) -> str:
    """A literal, its parts that are filled in written as `n`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "n" for p in node.values)
    return ""


def test_tolerance__has_the_reason_that_the_command_gives() -> None:
    assert TOLERANCE_REASON in flat("Audit")
    assert f"The network's {PRESETS['testnet'].parameters.tolerance_ppm / 1e6:g} " in flat("Audit")
