"""List the metrics that the exporter serves, and find in an expression what nothing serves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from messaging.exporter import asked
from messaging.exporter.asked import Asked
from messaging.metrics.catalogue import BACKENDS, FAMILIES, ROLES
from messaging.metrics.families import Histogram
from messaging.ports.audit_runs import Scope
from messaging.ports.store import DeadLetterState

Labels = Mapping[str, Sequence[str]]
ANY: Sequence[str] = ()  # the label may have any value

METRIC = re.compile(r"\b(im_\w+|up)\b(?:\{([^}]*)\})?")
RECORDED = re.compile(r"\bim:\w+:\w+")
MATCHER = re.compile(r'(\w+)(=~|!=|!~|=)"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|without|on|ignoring) \(([^)]*)\)")

# The values of a label that `asked` names; a label that is not here may have any value.
_VALUES: Labels = {
    "backend": BACKENDS,
    "role": ROLES,
    "against": ("redis", "store"),
    "state": [state.lower() for state in DeadLetterState],
    "scope": [scope.value for scope in Scope],
}


def _asked() -> Iterator[tuple[str, Labels]]:
    for family in vars(asked).values():
        if isinstance(family, Asked):
            yield family.name, {label: _VALUES.get(label, ANY) for label in family.labels}


def _counted() -> Iterator[tuple[str, Labels]]:
    """Yield the series of the processes by their names, with the labels that the exporter adds."""
    for family in FAMILIES:
        labels = {name: tuple(map(str, values)) for name, values in family.labels.items()}
        if family.by_role:
            labels["role"] = ROLES
        if isinstance(family, Histogram):
            edges = tuple(str(float(edge)) for edge in family.edges)
            yield f"{family.name}_bucket", labels | {"le": (*edges, "+Inf")}
            yield f"{family.name}_count", labels
            yield f"{family.name}_sum", labels
        else:
            yield family.name, labels


SERVED: dict[str, Labels] = {**dict(_asked()), **dict(_counted()), "up": {"job": ("imsite",)}}


def unknown_in(expression: str, known: Mapping[str, Labels] = SERVED) -> list[str]:
    """Return the metrics, labels and values of an expression that nothing exposes."""
    found = []
    for name, matchers in METRIC.findall(expression):
        labels = known.get(name)
        if labels is None:
            found.append(name)
            continue
        for label, operator, value in MATCHER.findall(matchers):
            allowed = labels.get(label)
            if allowed is None:
                found.append(f"{name}{{{label}}}")
            elif allowed is not ANY:
                found += _unknown_values(f"{name}{{{label}}}", operator, value, allowed)
    every = {label for labels in known.values() for label in labels}
    grouped = ",".join(GROUPED.findall(expression))
    return found + [label for label in re.findall(r"\w+", grouped) if label not in every]


def _unknown_values(where: str, operator: str, value: str, allowed: Sequence[str]) -> list[str]:
    parts = value.split("|") if "~" in operator else [value]
    patterns = parts if "~" in operator else map(re.escape, parts)
    return [
        f"{where}={part}"
        for part, pattern in zip(parts, patterns, strict=True)
        if not any(re.fullmatch(pattern, each) for each in allowed)
    ]
