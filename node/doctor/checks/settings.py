"""The settings in force: what is wrong with them, what contradicts what, and where each comes from."""

from __future__ import annotations

from typing import Final

from config.contradictions import Weight, contradictions
from config.described import shown_value
from config.errors import ConfigError
from config.settings import Settings
from node.api.guard.policy import check_reachable
from node.doctor.finding import Finding, Verdict, error, ok
from node.doctor.subject import Role, Subject
from node.encoders.models import TRAINED

_NAME: Final = "settings"
_WHY_REFUSED: Final = "a node refuses to start with it, and the other checks look at the defaults"


def check(subject: Subject) -> list[Finding]:
    """Everything that `config check` finds, and what only the directory can tell."""
    if subject.faults:
        return [error(_NAME, fault, _WHY_REFUSED, _remedy(subject)) for fault in subject.faults]
    found = [
        Finding(
            _NAME,
            Verdict.ERROR if one.weight is Weight.REFUSED else Verdict.WARNING,
            one.seen,
            one.why,
            one.remedy,
        )
        for one in contradictions(subject.settings)
    ]
    if subject.role is Role.VALIDATOR:
        found += _tokens(subject)
    found += _learning(subject.settings)
    return [*found, ok(_NAME, told(subject.settings))]


def told(settings: Settings) -> str:
    """Every value that somebody has set, with its origin."""
    given = [key for key in Settings.model_fields if settings.is_given(key)]
    if not given:
        return "all are defaults"
    shown = [f"{key} ({_short(shown_value(settings, key))}, {settings.origin(key)})" for key in given]
    return f"set: {'; '.join(shown)}; all others are defaults"


def _tokens(subject: Subject) -> list[Finding]:
    try:
        check_reachable(subject.settings, subject.directory.root)
    except ConfigError as fault:
        remedy = "`deltamesh token new NAME`, or --api 127.0.0.1:7780"
        return [error(_NAME, str(fault), "the validator does not start", remedy)]
    return []


def _learning(settings: Settings) -> list[Finding]:
    if not settings.learn or settings.model.startswith(TRAINED):
        return []
    return [
        error(
            _NAME,
            f"learn is set, and the model {settings.model} cannot learn",
            "an encoder refuses to start so; a validator does not mind",
            f'set model = "{TRAINED}FOLDER" (made by `deltamesh encoder train`), or learn = false',
        )
    ]


def _remedy(subject: Subject) -> str:
    return f"correct it in the place named, then `deltamesh config check` (the file is {subject.config_file})"


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
