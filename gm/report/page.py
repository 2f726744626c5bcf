"""The report as one HTML file: no script, nothing fetched, readable in light and dark."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gm.report import svg
from gm.report.data import InstrumentData, Timing

STYLE = """
:root{--ink:#16202a;--muted:#62707d;--paper:#fbfbf9;--card:#fff;--edge:#dfe3e6;--line:#1f5fa8;
--up:#2b8a5f;--down:#c2473d;--neutral:#b8c0c7;--warn:#8a5a00;--warn-paper:#fff4dc}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8eb;--muted:#93a0ab;--paper:#12171c;
--card:#1a2027;--edge:#2c353e;--line:#6aa9ec;--up:#4cb98a;--down:#e2786d;--neutral:#4a555f;
--warn:#f0c36a;--warn-paper:#332a14}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}main{max-width:1140px;margin:0 auto;padding:0 20px 60px}
.note{background:var(--warn-paper);color:var(--warn);padding:10px 20px;font-weight:600;
text-align:center}h1{font-size:26px;margin:28px 0 2px}h2{font-size:18px;margin:34px 0 8px}
.muted{color:var(--muted)}.tiles{display:grid;gap:10px;margin:18px 0;
grid-template-columns:repeat(auto-fit,minmax(140px,1fr))}
.tile,.card{background:var(--card);
border:1px solid var(--edge);border-radius:8px;padding:12px 14px}.tile b{display:block;
font-size:19px;white-space:nowrap;
font-variant-numeric:tabular-nums}.tile span{color:var(--muted);font-size:13px}
.card{margin:10px 0;overflow-x:auto}
svg{width:100%;min-width:680px;height:auto;display:block}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--edge);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--muted);font-weight:500}
.columns{display:grid;gap:10px;grid-template-columns:repeat(auto-fit,minmax(300px,1fr))}
.grid{stroke:var(--edge);stroke-width:1}.tick{fill:var(--muted);font:11px system-ui,sans-serif}
.line{fill:none;stroke:var(--line);stroke-width:1.8}.area{fill:var(--down);opacity:.5}
.wick{stroke-width:1;fill:none}path.up{stroke:var(--up)}path.down{stroke:var(--down)}
rect.up{fill:var(--up)}rect.down{fill:var(--down)}.buy,.sell{stroke:var(--card);stroke-width:.5}
.buy{fill:#1769e0}.sell{fill:#e0851a}.bar{fill:var(--line)}.band-long{fill:var(--up)}
.band-neutral{fill:var(--neutral)}.band-short{fill:var(--down)}
.key i{display:inline-block;width:11px;height:11px;border-radius:2px;margin:0 5px 0 14px}
.votes{display:inline-flex;width:120px;height:11px;border-radius:3px;overflow:hidden}
.votes i{display:block}.v0{background:var(--up)}.v1{background:var(--neutral)}
.v2{background:var(--down)}
"""

GATE_CODES = {
    "R01": "killed", "R02": "not ready", "R03": "not permitted", "R04": "malformed",
    "R05": "order quantity", "R06": "order notional", "R07": "price collar",
    "R08": "stale reference", "R09": "position", "R10": "gross", "R11": "credit",
    "R12": "rate", "R13": "duplicate", "R14": "repeated executions", "R15": "loss",
    "R16": "self-match", "R17": "more than decided", "R18": "backpressure",
    "R20": "policy invalid",
}  # fmt: skip


def page(
    *,
    note: str,
    title: str,
    facts: Sequence[tuple[str, str]],
    instruments: Sequence[InstrumentData],
    currencies: Sequence[str],
    agents: Sequence[str],
    stages: Sequence[dict[str, Any]],
    kernels: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Put the page together.

    Parameters
    ----------
    note : str
        The first line; empty for none.
    title : str
        Of the page.
    facts : sequence of (name, value)
        Hashes, times and counts under the title.
    instruments : sequence of InstrumentData
        One section each.
    currencies : sequence of str
        Of the instruments.
    agents : sequence of str
        Names of the agents, in the order of their votes; none: a rule decided.
    stages : sequence of dict
        Stage times: name, count, p50_ns, p99_ns, max_ns, buckets [(upper_ns, count)].
    kernels : mapping, optional
        User kernels that are not called any more: name to reason and policy.

    Returns
    -------
    str
        The HTML.

    Source
    ------
    Ours.
    """
    first = f'<div class="note">{html.escape(note)}</div>' if note else ""
    sections = "".join(
        _instrument(data, currency, agents)
        for data, currency in zip(instruments, currencies, strict=True)
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{first}<main>"
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="muted">{_facts(facts)}</p>{_kernels(kernels or {})}{sections}'
        f"{_stages(stages)}</main></body></html>\n"
    )


def _kernels(quarantined: Mapping[str, Mapping[str, str]]) -> str:
    if not quarantined:
        return ""
    rows = [
        [html.escape(name), html.escape(why["reason"]), html.escape(why["policy"])]
        for name, why in quarantined.items()
    ]
    table = _table(["kernel", "reason", "policy"], rows, "")
    return "<h2>Quarantined kernels: not called any more</h2>" + _card(table)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return " &middot; ".join(f"{html.escape(k)} {html.escape(v)}" for k, v in facts)


def _tile(value: str, name: str) -> str:
    return f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>'


def _card(body: str) -> str:
    return f'<div class="card">{body}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    if not body:
        return f'<p class="muted">{html.escape(empty)}</p>'
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return f"<table><tr>{names}</tr>{body}</table>"


def _instrument(data: InstrumentData, currency: str, agents: Sequence[str]) -> str:
    net = data.realised + data.unrealised - data.commission
    tiles = [
        (_money(net), f"net result after commission, {currency}"),
        (_money(data.realised), "realised"),
        (_money(data.unrealised), f"unrealised, {data.position_lots:,} lots open"),
        (f"{data.commission:,.2f}", "commission"),
        (f"{data.round_trips:,}", "round trips"),
        (f"{data.decision_count:,}", f"decisions, {data.acting_count:,} of them acted"),
        (_money(min(data.drawdown, default=0.0)), f"deepest drawdown, {currency}"),
    ]
    parts = [
        f"<h2>{html.escape(data.symbol)}</h2>",
        f'<div class="tiles">{"".join(_tile(*tile) for tile in tiles)}</div>',
    ]
    if data.equity:
        equity = svg.time_series(
            data.equity_ts_ns, data.equity, height=240, label="equity over time", is_area=False
        )
        drawdown = svg.time_series(
            data.equity_ts_ns, data.drawdown, height=120, label="drawdown", is_area=True
        )
        parts.append(
            f"<h2>Equity and drawdown, {html.escape(currency)}</h2>" + _card(equity + drawdown)
        )
    if data.candles:
        key = (
            '<p class="key muted"><i style="background:#1769e0"></i>buy'
            f'<i style="background:#e0851a"></i>sell{_shown_of(data)}</p>'
        )
        picture = svg.candles(data.candles, data.trades, height=380, label="trades on candles")
        parts.append("<h2>Trades on candles</h2>" + _card(picture + key))
    parts.append(_decisions(data, agents))
    if data.timing.count:
        parts.append(_timing(data.timing))
    parts.append('<div class="columns">' + _counts(data) + "</div>")
    return "".join(parts)


def _money(value: float) -> str:
    return f"{value:+,.2f}" if abs(value) < 100_000 else f"{value:+,.0f}"


def _shown_of(data: InstrumentData) -> str:
    if len(data.trades) == data.fill_count:
        return ""
    return f" &middot; {len(data.trades):,} of {data.fill_count:,} fills"


def _decisions(data: InstrumentData, agents: Sequence[str]) -> str:
    if not data.shares:
        return '<h2>Decisions</h2><p class="muted">none: the features were never ready</p>'
    times = [ts for ts, _ in data.shares]
    decider = "ensemble" if agents else "rule"
    bands = svg.probability_bands(
        times, [share for _, share in data.shares], height=140, label=f"{decider} probabilities"
    )
    mean = "mean " if data.decision_count > len(data.shares) else ""
    key = (
        f'<p class="key muted">{mean}{decider} probability of <i class="v0"></i>long'
        '<i class="v1"></i>neutral<i class="v2"></i>short</p>'
    )
    rows = [
        [
            _stamp(row[0]),
            f"{html.escape(row[1])}{' (acted)' if row[2] else ''}",
            _votes(row[3:6]),
            f"{max(row[3:6]):.3f}",
            *(_votes(vote) for vote in json.loads(row[6])[: len(agents)]),
        ]
        for row in data.decisions
    ]
    head = ["bar (UTC)", "action", decider, "confidence", *agents]
    return (
        f"<h2>Decisions{' and votes' if agents else ''}</h2>"
        + _card(bands + key)
        + _card(_table(head, rows, "no decisions"))
    )


def _timing(timing: Timing) -> str:
    side = {1: "long", -1: "short", 0: "none"}
    rows = []
    for start, direction, enters, standing, score, *votes, synergy, raw in timing.shown:
        shares = zip(votes, json.loads(raw), ("", "", "wait / execute / aggressive"), strict=True)
        rows.append(
            [
                _stamp(start),
                f"{side[direction]}{' (enters)' if enters else ''}",
                side[standing],
                f"{score:.3f}",
                *(f"{html.escape(vote)} {_votes(share, names)}" for vote, share, names in shares),
                str(synergy) if synergy else "none",
            ]
        )
    head = ["bar (UTC)", "direction", "standing", "score", "fvg", "momentum", "entry", "synergy"]
    said = (
        f'<p class="muted">{timing.count:,} on 5-minute bars, {timing.entering:,} of '
        f"them for an entry; {len(rows):,} shown</p>"
    )
    return "<h2>Timing of entries</h2>" + _card(said + _table(head, rows, ""))


def _votes(shares: Sequence[float], names: str = "") -> str:
    text = " / ".join(f"{share:.2f}" for share in shares)
    bars = "".join(f'<i class="v{i}" style="width:{s:.1%}"></i>' for i, s in enumerate(shares))
    title = f"{names or 'long / neutral / short'}: {text}"
    return f'<span class="votes" title="{title}">{bars}</span>'


def _counts(data: InstrumentData) -> str:
    refusals = _table(
        ["gate refusals", "meaning", "count"],
        [[html.escape(code), GATE_CODES.get(code, ""), f"{n:,}"] for code, n in data.refusals],
        "The gate refused nothing.",
    )
    states = _table(
        ["orders by last state", "count"],
        [[html.escape(state), f"{n:,}"] for state, n in data.order_states],
        "No order was sent.",
    )
    quarantine = _table(
        ["quarantine", "by", "count"],
        [[html.escape(reason), html.escape(by), f"{n:,}"] for by, reason, n in data.quarantine],
        "Every row of the feed was accepted.",
    )
    return "".join(_card(table) for table in (refusals, states, quarantine))


def _stages(stages: Sequence[dict[str, Any]]) -> str:
    shown = [stage for stage in stages if stage["count"]]
    if not shown:
        return ""
    rows = [
        [
            html.escape(str(stage["name"])),
            f"{stage['count']:,}",
            *(f"{stage[key]:,} ns" for key in ("p50_ns", "p99_ns", "max_ns")),
        ]
        for stage in shown
    ]
    table = _table(["stage", "count", "p50", "p99", "max"], rows, "")
    pictures = "".join(
        f"<h3>{html.escape(str(stage['name']))}</h3>"
        + svg.histogram(stage["buckets"], height=110, label=f"latency of {stage['name']}")
        for stage in shown
        if stage.get("buckets")
    )
    return "<h2>Latency by stage</h2>" + _card(table) + _card(pictures or table)


def _stamp(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
