"""What `gm explain` finds out, as data."""

from typing import Any

import msgspec
import numpy as np

from gm.explain.attribution import Attribution


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the engine wanted it. Lots of the instrument, signed where they are positions.

    ``gate``: passed, or the code of the first check that refused it, with what was measured
    (``gate_value``) against which limit, in the unit of that code.
    """

    order_id: str
    journal_sequence: int
    instrument: str
    bar_start_ts_ns: int
    side: str
    type: str
    reason: str
    quantity_lots: int
    position_lots: int
    target_lots: int
    gate: str
    gate_value: int = 0
    gate_limit: int = 0


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The model that decided. ``number`` 0: the one that the settings name."""

    number: int
    sha256: str
    name: str


class DecisionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of the journal, made again.

    ``probability`` is of long, neutral, short. ``confidence`` and ``uncertainty`` (entropy / ln 3)
    are not in the journal; they are the ensemble's, computed again. ``threshold`` of a rule: 0.
    """

    journal_sequence: int
    bar_start_ts_ns: int
    action: str
    acts: bool
    is_shadow: bool
    probability: tuple[float, ...]
    confidence: float
    uncertainty: float
    threshold: float
    size_lots: int


class AgentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's part. ``contribution`` = share x probability of the action that was decided.

    ``has_voted`` False: its logits were not finite, or it is out; its share is 0 then.
    ``logits_error``: how far the network in float64 lies from the core's in float32, at most.
    """

    name: str
    has_voted: bool
    weight: float
    share: float
    temperature: float
    logits: tuple[float, ...]
    probability: tuple[float, ...]
    contribution: float
    logits_error: float


class TimingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The tactical decision that timed an entry, as journalled; its networks are not taken apart.

    ``votes``: of fvg, momentum and entry. ``probability``: of long, neutral, short, of the third
    agent wait, execute, aggressive; 0 of one that took no part. ``synergy_type`` 0: none stood.
    """

    journal_sequence: int
    bar_start_ts_ns: int
    direction: str
    votes: tuple[str, str, str]
    score: float
    synergy_type: int
    probability: tuple[tuple[float, ...], ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Why there is an order.

    ``cause``: decision, earlier_decision, entry, rule, max_hold, session_end, stop or exit;
    ``text`` says it in a sentence. Of an entry ``timing`` is what timed it and ``decision`` the
    strategic one whose direction stood. Without a decision nothing was made again. ``is_equal``:
    the decision and every record before it came out bit for bit as the journal has them, else there
    would have been an error. ``residual`` is P of the action less the sum of the agents'
    contributions.
    ``matrix`` float32 (48, columns), oldest row first, those of user kernels behind the 13;
    ``seen`` says which of ``columns`` an agent looks at. ``attribution`` is None where no network
    decided.
    """

    cause: str
    text: str
    order: OrderFacts | None = None
    decision: DecisionFacts | None = None
    timing: TimingFacts | None = None
    model: ModelFacts | None = None
    is_equal: bool = False
    agents: tuple[AgentFacts, ...] = ()
    residual: float = 0.0
    columns: tuple[str, ...] = ()
    seen: tuple[bool, ...] = ()
    context_names: tuple[str, ...] = ()
    matrix: np.ndarray | None = None
    context: np.ndarray | None = None
    attribution: Attribution | None = None


def plain(explanation: Explanation) -> dict[str, Any]:
    """Give an explanation as JSON types; arrays as nested lists."""
    tree: dict[str, Any] = msgspec.to_builtins(explanation, enc_hook=lambda array: array.tolist())
    if explanation.attribution is not None:
        tree["attribution"]["is_complete"] = explanation.attribution.is_complete
    return tree
