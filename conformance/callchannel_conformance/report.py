# SPDX-License-Identifier: Apache-2.0
"""One HTML page for a run, with everything in it: no scripts, no requests, no other files."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from callchannel_conformance import difference, standard, wire

Json = dict[str, Any]

_SHOWN_OPS: Final = 14
_PAYLOAD: Final = 24

_STYLE: Final = (Path(__file__).resolve().parent / "data" / "report.css").read_text("utf-8")


def page(results: Json) -> str:
    """The page of a run's results, as `plugin.summary` gives them."""
    about = results["implementation"]
    name = f"{about.get('name', 'unknown')} {about.get('version', '')}"
    verdict = results["verdict"]
    bad = [check for check in results["checks"] if check["result"] not in ("PASS", "SKIP")]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        "<link rel=icon href=data:,>",  # else a browser asks the server for one
        f"<title>{_e(verdict)}: {_e(name)}</title><style>{_STYLE}</style>",
        f"<main><h1>{_e(name)} <span class='verdict {verdict}'>{verdict}</span></h1>",
        f"<p>callchannel {_e(results['document_version'])}, wire version {results['wire_version']}, "
        f"suite {_e(results['suite'])}, adapter protocol {results['adapter_protocol']}. "
        f"Profiles: {_e(', '.join(about.get('profiles', [])))}.</p>",
        "<p>"
        + " · ".join(f"<span class={key}>{count} {key}</span>" for key, count in results["counts"].items())
        + "</p>",
    ]
    if results["not_run"]:
        parts.append(f"<p>{len(results['not_run'])} checks were not run: the time was used up.</p>")
    if bad:
        parts.append("<h2>What failed</h2>")
        parts += [_failure(check, results) for check in bad]
    parts.append("<h2>Requirements</h2>" + _requirements(results["checks"]))
    skipped = [check for check in results["checks"] if check["result"] == "SKIP"]
    if skipped:
        rows = "".join(f"<tr><td><code>{_e(c['check'])}</code><td>{_e(c.get('message', ''))}" for c in skipped)
        parts.append(f"<h2>Not applicable or not run</h2><table class=checks><tr><th>check<th>why{rows}</table>")
    return "\n".join([*parts, "</main>"]) + "\n"


def _e(value: object) -> str:
    return html.escape(str(value))


def _requirements(checks: list[Json]) -> str:
    """Each requirement with the number of its checks by result."""
    counts: dict[str, dict[str, int]] = {}
    for check in checks:
        for name in check["requirements"]:
            result = check["result"]
            if result == "FAIL" and check.get("broken") != name:
                # The check failed on another requirement: nothing is known of this one.
                result = "–"
            counts.setdefault(name, {}).setdefault(result, 0)
            counts[name][result] += 1
        if (broken := check.get("broken")) and broken not in check["requirements"]:
            counts.setdefault(broken, {}).setdefault("FAIL", 0)
            counts[broken]["FAIL"] += 1
    rows = []
    for name, requirement in standard.requirements().items():
        if name in counts:
            found = ", ".join(f"<span class={key}>{count} {key}</span>" for key, count in sorted(counts[name].items()))
            rows.append(f"<tr><td>{name}<td>{_e(requirement.keyword)}<td>{_e(requirement.text)}<td>{found}")
    return f"<table><tr><th>ID<th>key word<th>text<th>checks{''.join(rows)}</table>"


def _failure(check: Json, results: Json) -> str:
    parts = [f"<article class={check['result']}><h3>{_e(check['check'])}: {check['result']}</h3>"]
    broken = check.get("broken")
    if broken in standard.requirements():
        requirement = standard.requirement(broken)
        where = f"{requirement.chapter}, {requirement.section}"
        parts.append(f"<blockquote><b>{broken}</b> {_e(requirement.text)}<br><small>{_e(where)}</small></blockquote>")
    parts.append(f"<p>{_e(check.get('message', ''))}</p>")
    if check.get("expected") is not None or check.get("actual") is not None:
        parts.append(_difference(check.get("expected"), check.get("actual")))
    if check.get("transcript"):
        parts.append(diagram(check["transcript"]))
    if check.get("diagnostics"):
        parts.append(f"<details><summary>standard error</summary><pre>{_e(check['diagnostics'])}</pre></details>")
    parts.append(f"<p>Again: <code>{_e(again(check, results))}</code></p></article>")
    return "".join(parts)


def again(check: Json, results: Json) -> str:
    """The command that does a failed check again."""
    adapters = f'--adapter "{results["adapter"]}"'
    if check["check"].startswith("plans/pair"):
        adapters += f' --other-adapter "{results["paired_with"]}"'
    if "replay" in check:
        return f"callchannel-conformance replay {adapters} {check['replay']}"
    return f'callchannel-conformance run {adapters} --check "{check["check"]}"'


def _difference(expected: Any, actual: Any) -> str:
    """Expected against actual, and where they begin to differ; where both are bytes, with the differing ones marked."""
    shown = [("expected", json.dumps(expected, ensure_ascii=False)), ("actual", json.dumps(actual, ensure_ascii=False))]
    rows = "".join(f"<tr><th>{name}<td><code>{_e(text[:1500])}</code>" for name, text in shown)
    if expected is not None and actual is not None and (place := difference.first(expected, actual)):
        rows += f"<tr><th>first difference<td>{_e(place)}"
    left, right = difference.encoded(expected), difference.encoded(actual)
    if left is not None and right is not None:
        rows += f"<tr><th>expected bytes<td><code>{_marked(left, right)}</code>"
        rows += f"<tr><th>actual bytes<td><code>{_marked(right, left)}</code>"
    return f"<table>{rows}</table>"


def _marked(digits: str, other: str) -> str:
    """Bytes in pairs of digits around the first one that differs from the other's, and which do marked."""
    begin, part = difference.window(digits, other)
    found = [f"… from byte {begin}:"] if begin else []
    for offset in range(0, len(part), 2):
        byte = part[offset : offset + 2]
        place = 2 * begin + offset
        found.append(byte if other[place : place + 2] == byte else f"<mark>{byte}</mark>")
    return " ".join(found) + (" …" if 2 * begin + len(part) < len(digits) else "")


def diagram(transcript: Sequence[Any]) -> str:
    """A sequence diagram of the last ops of a check: what the runner did on the left, what came of it on the right."""
    rows = []
    for request, reply in transcript[-_SHOWN_OPS:]:
        rows.append(
            _row(f"{request.get('now', 0) / 1000:g} ms", "in", _request(request), str(request.get("machine", "")))
        )
        ok = reply.get("ok")
        if not isinstance(ok, dict):
            rows.append(_row("", "out", f"<b>error of the adapter</b> {_e(json.dumps(reply.get('err')))}", ""))
            continue
        if "raised" in ok:
            rows.append(_row("", "out", f"raises <b>{_e(ok['raised'].get('code'))}</b> ◀", ""))
        for packet in ok.get("packets", ()):
            text = " + ".join(_frames(packet["packet"], packet["lane"]))
            rows.append(_row("", "out", f"{_e(text)} ◀── {packet['lane']}, transport {packet['transport']}", ""))
        for event in ok.get("events", ()):
            told = ", ".join(f"{key} {value}" for key, value in event.items() if key != "event" and value is not None)
            rows.append(_row("", "ev", f"{_e(event.get('event'))}: {_e(told)[:160]}", ""))
        rows += [_row("", "ev", f"closes transport {number}", "") for number in ok.get("closing", ())]
    head = _row("runner", "in", "", "implementation")
    return f"<div class=seq tabindex=0 role=region aria-label='What was said'>{head}{''.join(rows)}</div>"


def _row(left: str, kind: str, middle: str, right: str) -> str:
    return f"<span>{_e(left)}</span><span class={kind}>{middle}</span><span>{_e(right)}</span>"


def _request(request: Json) -> str:
    op = request["op"]
    if op == "receive":
        text = " + ".join(_frames(request["packet"], request["lane"]))
        return f"{_e(request['lane'])}, transport {request['transport']} ──▶ {_e(text)}"
    members = {k: v for k, v in request.items() if k not in ("id", "op", "now", "machine", "seed")}
    if isinstance(members.get("data"), str) and len(members["data"]) > _PAYLOAD:
        members["data"] = f"{len(members['data']) // 2} bytes"
    told = ", ".join(f"{key} {value}" for key, value in members.items())
    return f"<b>{_e(op)}</b> {_e(told)[:160]}"


def _frames(packet: str, lane: str) -> list[str]:
    """Words for each frame of a packet."""
    try:
        frames = wire.decode_packet(bytes.fromhex(packet), lane)
    except wire.WireError as error:
        frames = [*error.frames, {"type": f"({error.code}: {packet[:40]}…)"}]
    return [describe(frame) for frame in frames]


def describe(frame: Json) -> str:
    """A frame in a few words."""
    kind = frame["type"]
    if kind == "DATA":
        part = frame.get("fragment")
        words = f"DATA {frame['sender']}/{frame['session']}/{frame['sequence']} {' '.join(frame['flags'])}"
        if part is not None:
            mark = " LAST" if part["last"] else " ABORT" if part["abort"] else ""
            words += f" [{part['index']}{mark} of {part['total']}]"
        return f"{words} {len(frame['payload']) // 2} bytes"
    if kind in ("CLOSE", "FAIL", "REFUSE", "RECEIPT", "CREDIT"):
        code = standard.code_name(frame["reason"])
        return f"{kind} {frame['sender']}/{frame['session']} for {frame['recipient']}: {frame['value']} {code}"
    if kind == "ROSTER":
        return f"ROSTER {frame['epoch']}: " + ", ".join(
            f"{e['op']} {e['slot']} {e['id']}".strip() for e in frame["entries"]
        )
    if kind in ("HELLO", "WELCOME"):
        return (
            f"{kind}{' RESUME' if frame.get('resume') else ''} attempt {frame['attempt']}, received {frame['received']}"
        )
    if kind == "ACK":
        return f"ACK {frame['received']}"
    if kind == "BYE":
        return f"BYE {standard.code_name(frame['code'])}"
    return str(kind)
