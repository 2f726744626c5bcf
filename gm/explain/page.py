"""`gm explain --html`: the matrix beside what each of its cells did, on one page of HTML."""

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gm.errors import UsageError
from gm.explain.facts import AgentFacts, DecisionFacts, Explanation
from gm.explain.network import Floats
from gm.explain.shares import AGES, InputShare, input_shares, part_text, total_parts
from gm.layout import Action
from gm.report import svg
from gm.report.matrix import MATRIX_STYLE
from gm.report.page import STYLE
from gm.report.png import NEGATIVE, POSITIVE, data_uri, signed_pixels

LEFT, GAP, RIGHT = 148, 26, 78
TOP, ROW, BOTTOM = 26, 22, 24
BAND = (svg.WIDTH - LEFT - GAP - RIGHT) / 2
TICKS = (
    (0, "newest", "end"),
    (12, "12", "middle"),
    (24, "24", "middle"),
    (36, "36", "middle"),
    (47, "47 bars ago", "start"),
)

EXPLAIN_STYLE = """
.head{fill:var(--ink);font:600 12px system-ui,sans-serif}.unseen{fill:var(--muted);
font:12px system-ui,sans-serif;text-decoration:line-through}td.number,th.number{text-align:right}
.text td{text-align:left;white-space:normal}
"""


def write_page(path: Path, found: Explanation, title: str) -> Path:
    """Write an explanation as one page that fetches nothing.

    Parameters
    ----------
    path : Path
        The HTML file.
    found : Explanation
        Of a decision of networks.
    title : str
        Of the page.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    UsageError
        If no network decided: there is no matrix to draw.

    Source
    ------
    Ours.
    """
    if found.matrix is None or found.attribution is None or found.decision is None:
        raise UsageError(f"--html draws what networks saw, and none decided here: {found.text}")
    decision, parts = found.decision, found.attribution
    name = f"P({decision.action})"
    note = (
        f"{name} is {parts.value:.4f}; where the matrix says nothing it is {parts.baseline:.4f}. "
        f"Integrated gradients split the difference, {parts.value - parts.baseline:+.4f}, over "
        f"{parts.steps:,} steps; the parts miss it by {parts.completeness_error:.1e}"
        f"{'' if parts.is_complete else f', more than the {parts.bound:g} asked for'}. Orange is "
        "below zero, blue above; every cell tells its value. Struck out: no agent looks at it."
    )
    body = (
        f"<h1>{html.escape(title)}</h1>{_facts(found)}"
        f"<h2>Agents</h2>{_card(_agents(found.agents, decision))}"
        f'<h2>What was seen, and what it did</h2><p class="muted">{html.escape(note)}</p>'
        f"{_card(heat_maps(found))}"
        f"<h2>Inputs by size</h2>{_card(_inputs(input_shares(found), name))}"
    )
    text = (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
        f"<style>{STYLE}{_colours()}{MATRIX_STYLE}{EXPLAIN_STYLE}</style></head><body>"
        f"<main>{body}</main></body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def heat_maps(found: Explanation) -> str:
    """Draw the matrix, and beside it the parts of the probability, cell by cell.

    Parameters
    ----------
    found : Explanation
        With matrix and attribution.

    Returns
    -------
    str
        The SVG. Oldest row left; the attribution is coloured up to its largest cell.
    """
    assert found.matrix is not None
    assert found.attribution is not None
    assert found.decision is not None
    parts = total_parts(found)
    largest = float(np.abs(parts).max()) or 1.0
    second = LEFT + BAND + GAP
    name = f"P({found.decision.action})"
    drawn = [
        _head(LEFT, "what was seen, \u22121 to +1"),
        _head(second, f"part of {name}, \u2212{largest:.4f} to +{largest:.4f}"),
        f'<text class="head" x="{svg.WIDTH - 6}" y="16" text-anchor="end">sum</text>',
    ]
    for index, column in enumerate(found.columns):
        y = TOP + index * ROW
        css = "name" if found.seen[index] else "unseen"
        drawn.append(
            f'<text class="{css}" x="{LEFT - 8}" y="{y + 15}" text-anchor="end">'
            f"{html.escape(column)}</text>"
            f'<text class="value" x="{svg.WIDTH - 6}" y="{y + 15}" text-anchor="end">'
            f"{part_text(float(parts[:, index].sum()))}</text>"
        )
        seen = found.matrix[:, index].astype(float)
        drawn.append(_strip(column, seen, seen, LEFT, y))
        drawn.append(_strip(column, parts[:, index] / largest, parts[:, index], second, y))
    bottom = TOP + ROW * len(found.columns)
    drawn += [_axis(LEFT, bottom), _axis(second, bottom)]
    return svg.chart(bottom + BOTTOM, drawn, f"matrix and parts of {name}")


def _head(x: float, text: str) -> str:
    return f'<text class="head" x="{x:.1f}" y="16">{html.escape(text)}</text>'


def _strip(name: str, colours: Floats, values: Floats, x: float, y: float) -> str:
    width = BAND / len(values)
    cells = "".join(
        f'<rect class="cell" x="{x + i * width:.2f}" y="{y}" width="{width:.2f}" height="{ROW}">'
        f"<title>{html.escape(name)}, {_age(len(values) - 1 - i)}: {value:+.5f}</title></rect>"
        for i, value in enumerate(values.tolist())
    )
    return (
        f'<image x="{x:.1f}" y="{y}" width="{BAND:.1f}" height="{ROW}" preserveAspectRatio="none" '
        f'href="{data_uri(signed_pixels(colours[None, :]))}"/>'
        f'<rect class="frame" x="{x:.1f}" y="{y}" width="{BAND:.1f}" height="{ROW}"/>{cells}'
    )


def _axis(x: float, bottom: float) -> str:
    width = BAND / 48
    return "".join(
        f'<text class="tick" x="{x + (47 - age + 0.5) * width:.1f}" y="{bottom + 16}" '
        f'text-anchor="{anchor}">{text}</text>'
        for age, text, anchor in TICKS
    )


def _age(bars: int) -> str:
    return "newest bar" if bars == 0 else f"{bars} bar{'s' if bars > 1 else ''} before the newest"


def _facts(found: Explanation) -> str:
    decision, model, order = found.decision, found.model, found.order
    assert decision is not None
    assert model is not None
    rows = []
    if order is not None:
        rows += [
            (
                "order",
                f"{order.order_id}: {order.side} {order.quantity_lots:,} lots of "
                f"{order.instrument}, {order.type}; position {order.position_lots:+,}, target "
                f"{order.target_lots:+,}",
            ),
            ("gate", gate_text(order.gate, order.gate_value, order.gate_limit)),
        ]
    rows += [
        ("why", found.text),
        ("decision", decision_text(decision)),
        ("model", f"{model.number}, {model.name}, sha256 {model.sha256}"),
        ("made again", equal_text(decision)),
    ]
    cells = "".join(f"<tr><td>{k}</td><td>{html.escape(v)}</td></tr>" for k, v in rows)
    return f'<div class="card"><table class="text">{cells}</table></div>'


def decision_text(decision: DecisionFacts) -> str:
    """Say in a line what was decided."""
    held = "at least" if decision.confidence >= decision.threshold else "below"
    acts = "acts" if decision.acts else "does not act"
    return (
        f"{stamp(decision.bar_start_ts_ns)}, {decision.action}: confidence "
        f"{decision.confidence:.4f}, {held} the threshold {decision.threshold:g}, {acts}; "
        f"uncertainty {decision.uncertainty:.4f}; target size {decision.size_lots:,} lots"
    )


def equal_text(decision: DecisionFacts) -> str:
    """Say what the rebuild proved."""
    return (
        f"equal, bit for bit: the decision (journal record {decision.journal_sequence:,}) and "
        "every record before it"
    )


def gate_text(gate: str, value: int, limit: int) -> str:
    """Say what the gate said."""
    return gate if gate == "passed" else f"refused, {gate}: {value:,} against {limit:,}"


def stamp(ts_ns: int) -> str:
    """Give the start of a bar to people."""
    return f"bar of {datetime.fromtimestamp(ts_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"


def _agents(agents: Sequence[AgentFacts], decision: DecisionFacts) -> str:
    rows = [
        [
            html.escape(agent.name) + ("" if agent.has_voted else " (no part)"),
            f"{agent.share:.4f}",
            *(f"{logit:+.4f}" for logit in agent.logits),
            *(f"{share:.4f}" for share in agent.probability),
            f"{agent.contribution:.4f}",
        ]
        for agent in agents
    ]
    chosen = decision.probability[Action[decision.action.upper()]]
    rows.append(["ensemble", "", "", "", "", *(f"{p:.4f}" for p in decision.probability)])
    rows[-1].append(f"{chosen:.4f}")
    head = ["agent", "share", "logit long", "neutral", "short", "P long", "neutral", "short"]
    return _table([*head, f"share x P({decision.action})"], rows)


def _inputs(shares: Sequence[InputShare], name: str) -> str:
    head = ["input", "newest value", f"part of {name}", *(text for text, _, _ in AGES)]
    rows = [
        [
            html.escape(share.name),
            f"{share.value:+.4f}",
            part_text(share.total),
            *map(part_text, share.by_age),
        ]
        for share in shares
    ]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{names}</tr>{body}</table>"


def _card(body: str) -> str:
    return f'<div class="card">{body}</div>'


def _colours() -> str:
    positive, negative = (",".join(map(str, rgb)) for rgb in (POSITIVE, NEGATIVE))
    return f":root{{--positive:rgb({positive});--negative:rgb({negative})}}"
