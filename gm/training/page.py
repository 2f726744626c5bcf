"""The report of a training run: curves over steps, the evaluation, what it was made from."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gm.report import SYNTHETIC_NOTE, svg
from gm.report.page import STYLE
from gm.training.run_folder import (
    OUT_OF_SAMPLE,
    REPORT,
    RunRecord,
    read_metrics,
    read_results,
    read_run_record,
)

REAL_NOTE = "Trained on past data: no promise of profit. What counts is the untouched slice below."
_CURVES = {
    "episode_return_mean": "mean return of the episodes that ended, in units of risk",
    "reward_mean": "mean reward of a decision",
    "value_loss": "value loss",
    "explained_variance": "share of the returns' variance that the critic explains",
    "entropy": "entropy of a policy, nats (ln 3 = 1.10: undecided)",
    "kl": "KL divergence of an update, nats",
}
_HEIGHT = 190
_POINTS_MAX = 1000


def write_training_report(folder: Path) -> Path:
    """Write report.html of a run that is over.

    Parameters
    ----------
    folder : path
        Of the run.

    Returns
    -------
    Path
        The page; it holds everything and fetches nothing.

    Raises
    ------
    ConfigError
        If the folder holds no run, or one that is not over.

    Source
    ------
    Ours.
    """
    record, results, rows = read_run_record(folder), read_results(folder), read_metrics(folder)
    note = SYNTHETIC_NOTE if record.is_synthetic else REAL_NOTE
    title = f"GrandModel: {record.settings.algorithm}, seed {record.settings.seed}"
    facts = {
        "steps": f"{rows[-1]['steps']:,}" if rows else "0",
        "parameters": results["parameters_sha256"][:16],
        "configuration": record.config_sha256[:16],
        "torch": record.versions.get("torch", "unknown"),
    }
    shown = " &middot; ".join(f"{html.escape(k)} {html.escape(v)}" for k, v in facts.items())
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f'<div class="note">{html.escape(note)}</div><main><h1>{html.escape(title)}</h1>'
        f'<p class="muted">{shown}</p>',
        _out_of_sample(folder / OUT_OF_SAMPLE),
        _evaluations(results["evaluations"]),
        *(_curve(rows, name, text) for name, text in _CURVES.items()),
        _calibration(results.get("calibration")),
        _data(record),
        f"<h2>Settings</h2>{_card(_table(('setting', 'value'), _settings(record)))}",
        "</main></body></html>\n",
    ]
    path = folder / REPORT
    path.write_text("".join(parts), encoding="utf-8")
    return path


def step_curve(steps: Sequence[float], values: Sequence[float], *, height: int, label: str) -> str:
    """Draw one line over steps; at least one point."""
    low, high = min(values), max(values)
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    x = svg.linear(steps[0], steps[-1], svg.LEFT, svg.WIDTH - svg.RIGHT)
    y = svg.linear(low - pad, high + pad, height - svg.BOTTOM, svg.TOP)
    ticks = "".join(
        f'<line class="grid" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{svg.TOP}" '
        f'y2="{height - svg.BOTTOM}"/><text class="tick" x="{x(at):.1f}" y="{height - 6}" '
        f'text-anchor="middle">{at:,.0f}</text>'
        for at in svg.nice_ticks(steps[0], steps[-1], 8)
    )
    points = [(x(a), y(b)) for a, b in zip(steps, values, strict=True)]
    axis = svg.value_axis(low - pad, high + pad, y, ".3g")
    return svg.chart(height, [ticks, axis, svg.line_path(points, "line")], label)


def _curve(rows: Sequence[dict[str, Any]], name: str, text: str) -> str:
    found = [(row["steps"], row[name]) for row in rows if name in row]
    if not found:
        return ""
    every = -(-len(found) // _POINTS_MAX)
    shown = [*found[::every], found[-1]]
    picture = step_curve(
        [steps for steps, _ in shown], [value for _, value in shown], height=_HEIGHT, label=text
    )
    return f"<h2>{html.escape(text[:1].upper() + text[1:])}</h2>{_card(picture)}"


def _out_of_sample(path: Path) -> str:
    if not path.exists():
        return ""
    report = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    rows = [
        (
            html.escape(each["name"]),
            f"{each['result']['net']:+,.2f}",
            _interval(each["result"]),
            "" if each["ahead"] is None else f"{each['ahead']['net']:+,.2f}",
            "" if each["ahead"] is None else _interval(each["ahead"]),
            f"{each['drawdown']:,.2f}",
            f"{each['turns']:,.1f}",
            f"{each['time_in_market']:.0%}",
        )
        for each in report["players"]
    ]
    currency = html.escape(report["currency"])
    head = (
        "policy", f"net {currency}", "95 % interval", "bundle minus it", "95 % interval",
        "drawdown", "turns", "in the market",
    )  # fmt: skip
    return (
        f"<h2>Test slice, walked once, after all costs</h2>"
        f"<p>{html.escape(report['verdict'])}</p>{_card(_table(head, rows))}"
    )


def _interval(part: dict[str, Any]) -> str:
    if part["low"] is None:
        return "too few bars"
    return f"{part['low']:+,.2f} to {part['high']:+,.2f}"


def _evaluations(evaluations: dict[str, dict[str, Any]]) -> str:
    rows = [
        (
            html.escape(name),
            f"{each['mean']:+.4f}",
            f"{each['low']:+.4f} to {each['high']:+.4f}",
            f"{each['episodes']:,}",
        )
        for name, each in evaluations.items()
    ]
    head = ("slice and policy", "mean return", "95 % bootstrap interval", "episodes")
    return f"<h2>Fresh episodes, after all costs</h2>{_card(_table(head, rows))}"


def _calibration(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    rows = [
        ("temperatures", ", ".join(f"{each:.4g}" for each in found["temperatures"])),
        ("threshold", f"{found['threshold']:.2f}"),
        ("mix and vote decide alike", f"{found['agreement']:.1%}"),
        ("validation observations", f"{found['observations']:,}"),
    ]
    return f"<h2>Calibration</h2>{_card(_table(('', 'value'), rows))}"


def _data(record: RunRecord) -> str:
    rows = [
        (html.escape(one.file), html.escape(one.instrument), f"{one.bars:,}", one.sha256[:16])
        for one in record.data
    ]
    return f"<h2>Data</h2>{_card(_table(('file', 'instrument', 'bars', 'SHA-256'), rows))}"


def _settings(record: RunRecord) -> list[tuple[str, str]]:
    fields = msgspec.structs.asdict(record.settings)
    return [(name, html.escape(str(value))) for name, value in fields.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{names}</tr>{body}</table>"


def _card(body: str) -> str:
    return f'<div class="card">{body}</div>'
