"""`gm explain`: arguments, and how an explanation looks on a terminal."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter, validators

from gm.cli.options import Json
from gm.cli.printing import PIPE_WIDTH

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from gm.explain import Explanation

STEPS_MAX = 32_768  # where the halving ends as well
ROWS_SHOWN = 12


def explain(
    order: Annotated[
        str, Parameter(help="Its id, its number from 1, last, or @ and a journal sequence.")
    ],
    /,
    *,
    run_dir: Annotated[Path, Parameter(help="Of the run; its journal is enough.")] = Path(
        "var/run"
    ),
    steps: Annotated[
        int,
        Parameter(
            help="Of the integrated gradients; pieces that do not add up are halved.",
            validator=validators.Number(gte=1, lte=STEPS_MAX),
        ),
    ] = 64,
    shadow: Annotated[
        bool, Parameter(negative="", help="What the shadow model said at that bar.")
    ] = False,
    html: Annotated[
        Path | None, Parameter(help="Write matrix and attribution as a page of HTML.")
    ] = None,
    json: Json = False,
) -> int:
    """Say why an order was sent: decision, agents and inputs, made again from the journal.

    Example: gm explain 1-1-7 --run-dir var/demo/run --html why.html
    """
    from gm.explain import explain as explain_order, plain
    from gm.explain.page import write_page

    found = explain_order(run_dir, order, steps=steps, shadow=shadow)
    page = write_page(html, found, _title(found)) if html is not None else None
    if json:
        print(msgspec.json.encode(plain(found)).decode())
        return 0
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    _print_facts(console, found)
    if found.attribution is not None:
        console.print(_agents(found))
        _print_attribution(console, found)
    if page is not None:
        console.print(str(page))
    return 0


def _title(found: "Explanation") -> str:
    if found.order is not None:
        return f"Why order {found.order.order_id}"
    assert found.decision is not None
    return f"Why decision @{found.decision.journal_sequence}"


def _print_facts(console: "Console", found: "Explanation") -> None:
    from gm.explain.page import decision_text, equal_text, gate_text, stamp

    order, decision, model = found.order, found.decision, found.model
    if order is not None:
        console.print(
            f"order {order.order_id}: {order.side} {order.quantity_lots:,} lots of "
            f"{order.instrument}, {order.type}, {stamp(order.bar_start_ts_ns)}; position "
            f"{order.position_lots:+,}, target {order.target_lots:+,}"
        )
        console.print(f"gate: {gate_text(order.gate, order.gate_value, order.gate_limit)}")
    console.print(found.text)
    if decision is None:
        return
    if model is not None:
        console.print(f"decision: {decision_text(decision)}")
        console.print(f"model: {model.number}, {model.name}, sha256 {model.sha256}")
    console.print(f"made again: {equal_text(decision)}")


def _agents(found: "Explanation") -> "Table":
    from gm.layout import Action

    assert found.decision is not None
    action = found.decision.action
    chosen = found.decision.probability[Action[action.upper()]]
    names = ("share", "logit long", "neutral", "short", "P long", "neutral", "short")
    table = _table("agent", *names, f"share x P({action})", "logits off")
    for agent in found.agents:
        table.add_row(
            agent.name if agent.has_voted else f"{agent.name} (no part)",
            f"{agent.share:.4f}",
            *(f"{logit:+.4f}" for logit in agent.logits),
            *(f"{share:.4f}" for share in agent.probability),
            f"{agent.contribution:.6f}",
            f"{agent.logits_error:.0e}",
        )
    table.add_row(
        "ensemble",
        *[""] * 4,
        *(f"{share:.4f}" for share in found.decision.probability),
        f"{chosen:.6f}",
    )
    table.add_row("residual", *[""] * 7, f"{found.residual:+.0e}")
    return table


def _print_attribution(console: "Console", found: "Explanation") -> None:
    from gm.explain.shares import AGES, input_shares, part_text, sums_by_age, total_parts

    parts, decision = found.attribution, found.decision
    assert parts is not None
    assert decision is not None
    name = f"P({decision.action})"
    verdict = "" if parts.is_complete else f": NOT REACHED, more than {parts.bound:g}"
    console.print(
        f"{name} is {parts.baseline:.4f} where the matrix says nothing and {parts.value:.4f} here; "
        f"integrated gradients, {parts.steps:,} steps, completeness error "
        f"{parts.completeness_error:.1e}{verdict}"
    )
    table = _table("input", "newest value", f"part of {name}", *(age for age, _, _ in AGES))
    shares = input_shares(found)
    shown = [share for share in shares[:ROWS_SHOWN] if share.total != 0 or any(share.by_age)]
    for share in shown:
        by_age = map(part_text, share.by_age)
        table.add_row(share.name, f"{share.value:+.4f}", part_text(share.total), *by_age)
    if len(rest := shares[len(shown) :]) > 0:
        table.add_row(f"{len(rest)} more", "", part_text(sum(share.total for share in rest)))
    ages = map(part_text, sums_by_age(total_parts(found)))
    table.add_row("all", "", part_text(sum(share.total for share in shares)), *ages)
    console.print(table)


def _table(*names: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(*names, box=box.HEAVY_HEAD if sys.stdout.isatty() else box.MARKDOWN)
    for column in table.columns[1:]:
        column.justify = "right"
    return table
