# SPDX-License-Identifier: Apache-2.0
"""What became of a send, for people and for machines."""

from __future__ import annotations

from typing import Any

from callchannel.core.errors import CallChannelError, Report, error_name
from callchannel.escaping import quoted, visible


def report_of(error: CallChannelError) -> Report | None:
    """The report that an exception carries, if it does."""
    report = getattr(error, "report", None)
    return report if isinstance(report, Report) else None


def failure_text(error: CallChannelError) -> str:
    """One line: who did not get it and why, who may have; or what else went wrong."""
    report = report_of(error)
    if report is None or not (report.failed or report.unknown):
        return visible(f"not sent: {error} [{error_name(error.code)}]")
    parts = []
    for label, rows in (("not delivered to", report.failed), ("perhaps not delivered to", report.unknown)):
        if rows:
            parts.append(f"{label} " + ", ".join(f"{quoted(who)} ({error_name(code)})" for who, code in rows))
    if report.reached:
        parts.append("delivered to " + ", ".join(map(quoted, report.reached)))
    return "; ".join(parts)


def success_text(report: Report) -> str:
    """One line: who has it, as far as that is known."""
    if report.reached is None:
        text = "accepted by the relay"
    else:
        text = "delivered to " + (", ".join(map(quoted, report.reached)) or "nobody: nobody else is in the call")
    if report.passed_over:
        text += "; passed over, having failed before: " + ", ".join(map(quoted, report.passed_over))
    return text


def as_json(report: Report | None, error: CallChannelError | None = None) -> dict[str, Any]:
    """A report and an error, as fields of an event."""
    fields: dict[str, Any] = {}
    if report is not None:
        fields["reached"] = None if report.reached is None else list(report.reached)
        for name in ("failed", "unknown"):
            rows = getattr(report, name)
            fields[name] = [{"identity": who, "code": error_name(code)} for who, code in rows]
        fields["passed_over"] = list(report.passed_over)
    if error is not None:
        fields["code"] = error_name(error.code)
        fields["detail"] = str(error)
    return fields
