"""`gm explain`: an order led back to its decision, and the decision to agents and inputs.

Everything is made again from the run directory alone: the core replays the journal, so matrix,
logits and probabilities are those of the engine that traded, and are compared bit for bit with
what was journalled before anything is said about them.
"""

from pathlib import Path

import msgspec
import numpy as np

from gm.config.run_dir import Prepared, RunManifest, read_run
from gm.errors import DataGap
from gm.explain.attribution import STEPS
from gm.explain.facts import Explanation, OrderFacts, TimingFacts, plain
from gm.explain.rebuild import (
    ask_agents,
    decision_facts,
    model_facts,
    observation_of,
    rebuild,
    total_probability,
)
from gm.explain.trail import (
    Trail,
    decision_of,
    find_order,
    kind_of,
    payload,
    read_trail,
    sequence_of,
    timing_of,
)
from gm.features import STRATEGIC_COLUMNS
from gm.layout import (
    SETTINGS_HEADER,
    Action,
    EntryVote,
    GateCode,
    OrderReason,
    OrderType,
    RecordType,
    Side,
)
from gm.store.recorder import order_id

__all__ = ["CONTEXT_NAMES", "Explanation", "explain", "plain"]

CONTEXT_NAMES = (
    "synergy_confidence", "synergy_direction", "volatility_30", "hour_sin", "hour_cos",
    "weekday_sixth",
)  # fmt: skip
NOT_JOURNALLED = "not journalled"  # the reason of an order that the gate refused
_OF_ENTRIES = ("entry", NOT_JOURNALLED)
_ORDERS = (RecordType.INTENT, RecordType.REFUSAL)


def explain(
    run_dir: str | Path, order: str, *, steps: int = STEPS, shadow: bool = False
) -> Explanation:
    """Say why an order was sent, or refused by the gate.

    Parameters
    ----------
    run_dir : str or Path
        Of a run: its ``settings.bin``, ``run.json``, ``journal`` and ``models``.
    order : str
        An id (installation-epoch-counter), the number of an order among those that passed the
        gate, from 1, ``last``, or ``@`` and the journal sequence of an order, refusal or decision.
    steps : int
        Points of the integrated gradients to begin with.
    shadow : bool
        Explain what the shadow model said at that bar instead.

    Returns
    -------
    Explanation
        An order that no decision of networks caused is explained by what did cause it.

    Raises
    ------
    UsageError
        If ``order`` is no name of an order.
    UnknownOrder
        If the journal holds no such order.
    DataGap
        If a model is gone that the run needs, or no shadow decided at that bar.
    ReplayDiverged
        If the decision comes out otherwise than journalled: names what differs.
    ConfigError, CoreError
        If the directory is not that of a run, or its journal cannot be read.

    Source
    ------
    Ours; ARCHITECTURE law 2. Integrated gradients: Sundararajan, Taly, Yan 2017.
    """
    prepared = read_run(Path(run_dir))
    trail = read_trail(prepared.run_dir)
    found = find_order(trail, order)
    facts = _order_facts(trail, found, prepared.manifest) if kind_of(found) in _ORDERS else None
    if shadow:
        return _explain_decision(trail, _shadow_of(trail, found), prepared, facts, steps)
    if facts is None:
        return _explain_decision(trail, found, prepared, facts, steps)
    if (timing := timing_of(trail, found)) is not None and facts.reason in _OF_ENTRIES:
        return _explain_entry(trail, found, timing, prepared, facts, steps)
    if facts.reason not in ("decision", NOT_JOURNALLED):
        return Explanation(cause=facts.reason, text=_exit_text(facts, prepared), order=facts)
    decision = decision_of(trail, found, facts.target_lots or -facts.position_lots)
    is_earlier = decision is not None and (
        decision["trailer"]["input_sequence"] != found["trailer"]["input_sequence"]
    )
    # Only decisions set a target that is not 0; to 0 lead other exits as well.
    if decision is None or (is_earlier and facts.target_lots == 0):
        return Explanation(cause="exit", text=_exit_text(facts, prepared), order=facts)
    return _explain_decision(trail, decision, prepared, facts, steps, is_earlier=is_earlier)


def _explain_decision(
    trail: Trail,
    decision: np.void,
    prepared: Prepared,
    order: OrderFacts | None,
    steps: int,
    *,
    is_earlier: bool = False,
) -> Explanation:
    found, manifest = rebuild(trail, decision), prepared.manifest
    facts = decision_facts(decision, found)
    if len(found["agent_rows"]) == 0:
        return Explanation(
            cause="rule",
            text=_rule_text(trail, decision, manifest, facts.action),
            order=order,
            decision=facts,
            is_equal=True,
        )
    agents, parts = ask_agents(found, steps)
    kernels = [name for name in manifest.kernels if name != manifest.rule]
    columns = (*STRATEGIC_COLUMNS, *kernels)
    mask = np.bitwise_or.reduce(found["agent_rows"]["column_mask"])
    return Explanation(
        cause="earlier_decision" if is_earlier else "decision",
        text=_decision_text(facts.acts, is_earlier=is_earlier, is_shadow=facts.is_shadow),
        order=order,
        decision=facts,
        model=model_facts(decision, found, manifest),
        is_equal=True,
        agents=agents,
        residual=total_probability(found) - sum(agent.contribution for agent in agents),
        columns=columns,
        seen=tuple(bool(mask >> column & 1) for column in range(len(columns))),
        context_names=CONTEXT_NAMES,
        matrix=observation_of(found).matrix[:, : len(columns)].astype(np.float32),
        context=found["context"],
        attribution=parts,
    )


def _explain_entry(
    trail: Trail,
    found: np.void,
    timing: np.void,
    prepared: Prepared,
    order: OrderFacts,
    steps: int,
) -> Explanation:
    """Two levels: the strategic decision whose direction stood, and what timed the entry."""
    decision = decision_of(trail, found, order.target_lots or -order.position_lots)
    if decision is None:
        raise DataGap(f"no strategic decision stands before record {sequence_of(found)}, an entry")
    facts = _timing_facts(timing)
    of_limit = EntryVote(payload(timing)["entry"]) == EntryVote.EXECUTE
    whole = _explain_decision(trail, decision, prepared, order, steps)
    return msgspec.structs.replace(
        whole,
        cause="entry",
        timing=facts,
        order=msgspec.structs.replace(order, type="limit" if of_limit else "market"),
        text=(
            f"The direction is that of the decision below, which stood; the tactical team timed "
            f"the entry: score {facts.score:.4f} for {facts.direction}, fvg {facts.votes[0]}, "
            f"momentum {facts.votes[1]}, entry {facts.votes[2]}, synergy type "
            f"{facts.synergy_type} (journal record {facts.journal_sequence:,})."
        ),
    )


def _timing_facts(slot: np.void) -> TimingFacts:
    values = payload(slot)
    votes = [Action(values[name]).name.lower() for name in ("fvg", "momentum")]
    return TimingFacts(
        journal_sequence=sequence_of(slot),
        bar_start_ts_ns=int(values["bar_start_ts_ns"]),
        direction="long" if int(values["direction"]) > 0 else "short",
        votes=(votes[0], votes[1], EntryVote(values["entry"]).name.lower()),
        score=float(values["score"]),
        synergy_type=int(values["synergy_type"]),
        probability=tuple(tuple(map(float, row)) for row in values["agent_probability"]),
    )


def _shadow_of(trail: Trail, found: np.void) -> np.void:
    shadows = trail.step(found, RecordType.SHADOW_DECISION)
    if len(shadows) == 0:
        raise DataGap(
            f"no shadow model decided in the step of record {sequence_of(found)}, "
            f"{kind_of(found).name.lower()}"
        )
    slot: np.void = shadows[0]
    return slot


def _order_facts(trail: Trail, slot: np.void, manifest: RunManifest) -> OrderFacts:
    values, is_sent = payload(slot), kind_of(slot) == RecordType.INTENT
    number, side = int(values["instrument"]), Side(values["side"])
    position = _position_before(trail, slot, number)
    quantity = int(values["quantity_lots"])
    return OrderFacts(
        order_id=order_id(values["id"]),
        journal_sequence=sequence_of(slot),
        instrument=manifest.instruments[number],
        bar_start_ts_ns=int(values["decision_bar_start_ts_ns"]),
        side=side.name.lower(),
        type=OrderType(values["type"]).name.lower() if is_sent else "market",
        reason=OrderReason(values["reason"]).name.lower() if is_sent else NOT_JOURNALLED,
        quantity_lots=quantity,
        position_lots=position,
        target_lots=position + (quantity if side == Side.BUY else -quantity),
        gate="passed" if is_sent else _gate(int(values["code"])),
        gate_value=0 if is_sent else int(values["value"]),
        gate_limit=0 if is_sent else int(values["limit"]),
    )


def _gate(code: int) -> str:
    return f"R{code:02d} {GateCode(code).name.lower()}"


def _position_before(trail: Trail, order: np.void, number: int) -> int:
    """Every fill writes a position, so the last before the order is the one it was sized from."""
    for slot in reversed(trail.of(RecordType.POSITION)):
        values = payload(slot)
        if sequence_of(slot) < sequence_of(order) and int(values["instrument"]) == number:
            return int(values["position_lots"])
    return 0


def _exit_text(facts: OrderFacts, prepared: Prepared) -> str:
    header = np.frombuffer(prepared.block, SETTINGS_HEADER, 1)[0]
    match facts.reason:
        case "max_hold":
            bars = int(header["max_hold_bars"])
            return (
                f"No decision caused this order: the position had been held for max_hold_bars = "
                f"{bars} closed 30-minute bars, and no opposite decision came with the last."
            )
        case "session_end":
            return (
                "No decision caused this order: flat_at_session_end closes the position on the "
                "last but one bar of the session."
            )
        case "stop":
            return "No decision caused this order: the stop of a bracket did."
        case _:
            return (
                f"No decision of this bar wanted a target of {facts.target_lots:,} lots: it is an "
                "exit by max_hold_bars or flat_at_session_end, or by an opposite decision that "
                "came while another order was open."
            )


def _decision_text(acts: bool, *, is_earlier: bool, is_shadow: bool) -> str:
    if is_shadow:
        return "What the shadow model said at that bar; a shadow never trades."
    if is_earlier:
        return (
            "An earlier decision set the target position: another order was open then, and this "
            "one goes on to it."
        )
    if acts:
        return "The decision of this bar."
    return "A decision that did not act: it left the target position as it was."


def _rule_text(trail: Trail, decision: np.void, manifest: RunManifest, action: str) -> str:
    """No networks: what the user's rule answered for the bar."""
    row = manifest.kernels.index(manifest.rule)
    number = int(payload(decision)["instrument"])
    for slot in reversed(trail.of(RecordType.KERNEL_RESULT)):
        values = payload(slot)
        is_its = int(values["kernel"]) == row and int(values["instrument"]) == number
        if is_its and sequence_of(slot) < sequence_of(decision):
            answer = float(values["value"])
            return (
                f"The rule {manifest.rule} decided, no network took part and there is nothing to "
                f"attribute: it answered {answer:+g} ({action})."
            )
    return f"The rule {manifest.rule} decided, no network took part: {action}, without an answer."
