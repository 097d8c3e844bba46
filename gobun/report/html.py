"""Renders the report as one self-contained page: no network, no external script or font."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import urllib.parse
from importlib import resources
from typing import TYPE_CHECKING

from gobun.cells.records import WORST_FIRST
from gobun.console import pluralize
from gobun.report.difference import differences
from gobun.report.difference_page import difference_section
from gobun.report.markdown import count_line, render_summary
from gobun.report.packing import GLYPHS, HOLE, pack
from gobun.report.printable_run import printable_run
from gobun.report.summary import range_text, summarise
from gobun.report.timeline import Timeline, Track, describe_members, loads_of, timelines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gobun.cells.records import Header, Load
    from gobun.matrix import Run
    from gobun.report.summary import Summary

_SCRIPTS = ("data.js", "map.js", "difference.js", "page.js")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render_html(run: Run) -> str:
    """Return the whole page."""
    run = printable_run(run)
    summary = summarise(run.results)
    compared = differences(run)
    style, script = _part("page.css"), "".join(_part(name) for name in _SCRIPTS)
    header = run.header
    facts = {
        "Run": header.started.replace("T", " ").replace("+00:00", " UTC"),
        **_host_facts(header),
        "Tools": ", ".join(f"{name} {version}" for name, version in header.made_with.items()),
        "Suite": f"gobun {header.suite}, plan {header.plan}",
    }
    parts = {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "counts": html.escape(count_line(summary, header)),
        "difference": difference_section(compared),
        "facts": "".join(_fact(name, value) for name, value in facts.items()),
        "cut": "<p>The last line of the results was cut off and is left out.</p>"
        if run.is_cut
        else "",
        "legend": _legend(summary),
        "timeline": "".join(_timeline(timeline) for timeline in timelines(run.results)),
        "summary": html.escape(render_summary(run)),
        "data": embedded_json(pack(run.results, compared)),
        "hole": HOLE,
    }
    # One pass, so that inserted text is never searched for placeholders.
    return _PLACE.sub(lambda match: parts[match[1]], _part("page.html"))


def _host_facts(header: Header) -> dict[str, str]:
    """Return the facts about the machine, or one fact for each platform of a joined run."""
    host = header.host
    return {f"Host {part.platform}": part.host.text for part in header.joined} or {
        "Host": f"{host.system}, {host.libc}",
        "Processor": f"{host.cpu}, {host.cores} cores",
    }


def embedded_json(data: bytes) -> str:
    """Return JSON that is safe in a script element, whatever its strings contain."""
    text = data.decode()
    for character, escape in _JSON_ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _part(name: str) -> str:
    return (resources.files("gobun.report") / "page" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return the CSP that permits only this script and style, and no markup from strings."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"


def _legend(summary: Summary) -> str:
    counts = dict(summary.counts)
    return "".join(
        f'<li><span class="mark {outcome}" aria-hidden="true">{GLYPHS[outcome]}</span>'
        f" {outcome} <b>{counts.get(outcome, 0)}</b></li>"
        for outcome in reversed(WORST_FIRST)
    )


def _timeline(timeline: Timeline) -> str:
    loads = loads_of(timeline)
    stress = html.escape(timeline.stress)
    bad_tracks = [track for track in timeline.tracks if track.is_bad]
    head = html.escape(bad_tracks[0].text if bad_tracks else "no bad version")
    others = pluralize(len(bad_tracks) - 1, "other pattern")
    more = f" <span>and {others}</span>" if len(bad_tracks) > 1 else ""
    tracks = "".join(_render_track(timeline.stress, track, loads) for track in timeline.tracks)
    return (
        f'<details class="stress{" bad" if bad_tracks else ""}"><summary><b>{stress}</b>'
        f" {head}{more}</summary><ul>{tracks}</ul></details>"
    )


def _render_track(stress: str, track: Track, loads: Sequence[Load]) -> str:
    if track.is_settled:
        segments = "".join(
            f'<li class="{span.outcome}{" flaky" if span.intermittent else ""}">'
            f'<span aria-hidden="true">{GLYPHS[span.outcome]}</span> '
            f"{html.escape(span.text)} "
            f"{html.escape(range_text(span.first_version, span.last_version))}</li>"
            for span in track.spans
        )
        course = f'<ol class="course">{segments}</ol>'
    else:
        course = f"<p>{html.escape(track.text)}</p>"
    link = _link(
        stress=[stress],
        **({"platform": [track.platform]} if track.platform else {}),
        runtime=[track.runtime],
        treatment=(member.treatment for member in track.members),
        module=(member.module for member in track.members),
        load=(member.load for member in track.members),
    )
    meant = html.escape(f"{track.label}, {describe_members(track.members, loads)}")
    return f'<li>{course}<p>{meant} <a href="{link}">show these cells</a></p></li>'


def _link(**chosen: Iterable[str]) -> str:
    """Return the URL fragment that sets the filters, in the form that the script itself writes."""
    pairs = {
        name: ",".join(urllib.parse.quote(v, safe="") for v in dict.fromkeys(values))
        for name, values in chosen.items()
    }
    return html.escape("#" + "&".join(f"{name}={values}" for name, values in pairs.items()))
