"""Promise: an order leads back to its decision, made again bit for bit; where no networks decided,
or something is missing or changed, that is said.
"""

import shutil
import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

import gm
from gm import layout
from gm._native.journal import JournalWriter
from gm.backtest import Run
from gm.errors import DataGap, ReplayDiverged, UnknownOrder, UsageError
from gm.explain import explain, plain
from gm.layout import OrderReason, RecordType
from gm.scaffold import INSTRUMENT, write_desk
from gm.store.recorder import order_id

from ..runs import CONFIG, payloads, records, runtime_folder, table
from ..tapes import write_config, write_trends
from .swapped import LIVE, SHADOW, SYMBOL, model_block, swapped_run

BARS = 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def bars(folder: Path) -> Path:
    return write_trends(folder / "bars.csv", BARS)


@pytest.fixture(scope="module")
def run(folder: Path, bars: Path) -> Path:
    return traded(CONFIG, bars, folder / "run")


@pytest.fixture(scope="module")
def swapped(folder: Path) -> Path:
    # So long that the models come before its last orders on a busy machine, too.
    bars = write_trends(folder / "long.csv", 12_000)
    swapped_run(folder / "swapped", bars)
    shutil.rmtree(runtime_folder(folder / "swapped"), ignore_errors=True)
    return folder / "swapped"


def traded(config: Path, bars: Path, run_dir: Path) -> Path:
    run: Run = gm.backtest(config, bars, SYMBOL, seed=3, run_dir=run_dir)
    assert run.run_dir is not None
    return run.run_dir


def orders(run_dir: Path) -> list[dict]:
    return sorted(table(run_dir, "orders"), key=lambda row: row["journal_sequence"])


def rewritten(run_dir: Path, target: Path, change) -> Path:
    """A copy of a run whose journal holds what `change` makes of its records."""
    target.mkdir()
    for name in ("settings.bin", "run.json"):
        shutil.copy(run_dir / name, target / name)
    slots = records(run_dir).copy()
    slots = change(slots)
    writer = JournalWriter(str(target), segment_bytes=1 << 20, journal_id=7)
    writer.append(slots)
    writer.seal()
    writer.close()
    return target


def test_every_order_leads_to_a_decision_that_is_made_again_and_adds_up(run: Path) -> None:
    found = orders(run)
    assert len(found) > 5
    decisions = {row["bar_start_ts_ns"]: row for row in table(run, "decisions")}
    for row in found[:: max(1, len(found) // 6)]:
        why = explain(run, row["order_id"])
        assert why.cause == "decision"
        assert why.is_equal
        assert why.order is not None
        assert why.order.quantity_lots == row["quantity_lots"]
        assert abs(why.order.target_lots) == 1000
        assert why.decision is not None
        decision = decisions[why.decision.bar_start_ts_ns]
        assert why.decision.action == decision["action"]
        assert why.decision.acts
        assert why.decision.confidence >= why.decision.threshold == 0.55
        assert abs(why.residual) < 1e-12
        total = sum(agent.contribution for agent in why.agents)
        assert total == pytest.approx(why.decision.confidence, abs=1e-12)
        assert [agent.name for agent in why.agents] == ["mlmi", "nwrqk", "regime"]
        assert all(agent.logits_error < 1e-4 for agent in why.agents)
        assert why.attribution is not None
        assert why.attribution.is_complete
        assert why.attribution.value == pytest.approx(why.decision.confidence, abs=1e-4)


def test_the_matrix_is_that_of_the_features_of_the_same_bars(run: Path, bars: Path) -> None:
    read = gm.read_bars(bars, SYMBOL)
    values, ready = gm.strategic_matrices(read.bars, SYMBOL)
    why = explain(run, "last")
    assert why.order is not None
    assert why.matrix is not None
    at = int(np.flatnonzero(read.bars["start_ts_ns"] == why.order.bar_start_ts_ns)[0])
    assert ready[at]
    assert why.matrix.tobytes() == values[at].tobytes()
    assert why.columns == gm.STRATEGIC_COLUMNS
    unseen = [name for name, is_seen in zip(why.columns, why.seen, strict=True) if not is_seen]
    assert unseen == ["hour_sin", "hour_cos"]


def test_an_order_has_several_names_and_a_decision_without_one_has_its_sequence(run: Path) -> None:
    slots = records(run)
    third = orders(run)[2]["order_id"]
    at = orders(run)[2]["journal_sequence"]
    same = [plain(explain(run, name)) for name in (third, "3", f"@{at}")]
    assert same[0] == same[1] == same[2]
    kinds = slots["header"]["type"]
    decisions = slots[kinds == RecordType.DECISION]
    held = decisions[payloads(slots, RecordType.DECISION, layout.DECISION)["acts"] == 0][0]
    why = explain(run, f"@{int(held['trailer']['journal_sequence'])}")
    assert why.order is None
    assert why.decision is not None
    assert not why.decision.acts
    assert "did not act" in why.text


def test_an_unknown_order_is_told_which_there_are(run: Path) -> None:
    ids = [row["order_id"] for row in orders(run)]
    sent = f"{len(ids):,} that passed the gate, {ids[0]} to {ids[-1]}"
    for name in ("9-9-9", str(len(ids) + 1), "0", "@1"):
        with pytest.raises(UnknownOrder, match="no such order") as caught:
            explain(run, name)
        assert sent in str(caught.value)
    for name in ("seven", "1-1", "-3", "@x"):
        with pytest.raises(UsageError, match="ORDER must be an id"):
            explain(run, name)


def test_an_order_that_the_gate_refused_says_against_which_limit(folder: Path, bars: Path) -> None:
    limits = {"order_notional_max": 4000}
    config = write_config(folder / "small.yaml", trading={SYMBOL: limits})
    run = traded(config, bars, folder / "small")
    refusal = table(run, "refusals")[0]
    why = explain(run, refusal["order_id"])
    assert why.order is not None
    assert why.order.gate == "R06 max_notional"
    assert why.order.gate_value > why.order.gate_limit == 4_000_000_000
    assert why.cause == "decision"
    assert why.is_equal


def test_an_exit_by_max_hold_names_its_cause_and_nothing_is_attributed(
    folder: Path, bars: Path
) -> None:
    config = write_config(folder / "hold.yaml", policy={"max_hold_bars": 3})
    run = traded(config, bars, folder / "hold")
    exits = [row for row in orders(run) if row["reason"] == "max_hold"]
    why = explain(run, exits[0]["order_id"])
    assert why.cause == "max_hold"
    assert "max_hold_bars = 3 closed 30-minute bars" in why.text
    assert why.decision is None
    assert why.attribution is None
    assert why.order is not None
    assert why.order.target_lots == 0


def test_an_exit_that_was_refused_is_not_laid_to_a_decision_of_long_ago(
    run: Path, tmp_path: Path
) -> None:
    """Of refused orders the journal keeps no reason: only the decision of their bar counts."""
    last = payloads(records(run), RecordType.POSITION, layout.POSITION_UPDATE)[-1]
    assert last["position_lots"] != 0

    def change(slots: np.ndarray) -> np.ndarray:
        refusal = np.zeros(1, layout.REFUSAL)
        refusal["id"] = (1, 1, 999)
        refusal["quantity_lots"] = abs(last["position_lots"])
        refusal["side"] = int(last["position_lots"] > 0)  # to sell what was bought
        refusal["code"] = 12
        at = np.flatnonzero(slots["header"]["type"] == RecordType.INTENT)[-1]
        slots[-1] = slots[at]
        slots[-1]["header"]["type"] = RecordType.REFUSAL
        slots[-1]["payload"] = refusal.view("u1")
        slots[-1]["trailer"]["journal_sequence"] = slots[-2]["trailer"]["journal_sequence"] + 1
        slots[-1]["trailer"]["commit"] = slots[-1]["trailer"]["journal_sequence"]
        slots[-1]["trailer"]["input_sequence"] = slots[-2]["trailer"]["input_sequence"] + 1
        return slots

    why = explain(rewritten(run, tmp_path / "run", change), "1-1-999")
    assert why.order is not None
    assert (why.order.target_lots, why.order.gate) == (0, "R12 rate")
    assert why.cause == "exit"
    assert "No decision of this bar wanted a target of 0 lots" in why.text


@pytest.mark.parametrize(
    ("reason", "said"),
    [(OrderReason.SESSION_END, "flat_at_session_end"), (OrderReason.STOP, "bracket")],
)
def test_other_exits_name_their_cause_too(
    run: Path, tmp_path: Path, reason: OrderReason, said: str
) -> None:
    def change(slots: np.ndarray) -> np.ndarray:
        at = np.flatnonzero(slots["header"]["type"] == RecordType.INTENT)[0]
        slots["payload"][at, layout.NEW_ORDER.fields["reason"][1]] = reason
        return slots

    why = explain(rewritten(run, tmp_path / "run", change), "1")
    assert why.cause == reason.name.lower()
    assert said in why.text


def test_a_rule_is_quoted(folder: Path) -> None:
    write_desk(folder / "desk")
    bars = folder / "desk" / "session.csv"
    run = gm.backtest(folder / "desk" / "gm.yaml", bars, INSTRUMENT, run_dir=folder / "desk" / "r")
    assert run.run_dir is not None
    first = orders(run.run_dir)[0]
    why = explain(run.run_dir, first["order_id"])
    assert why.cause == "rule"
    answer = "+1 (long)" if first["side"] == "buy" else "-1 (short)"
    assert "The rule breakout decided, no network took part" in why.text
    assert f"it answered {answer}" in why.text
    assert why.is_equal
    assert why.agents == ()
    assert why.attribution is None


def test_a_decision_that_comes_out_otherwise_is_named_with_what_differs(
    run: Path, tmp_path: Path
) -> None:
    offset = layout.DECISION.fields["probability"][1]

    def change(slots: np.ndarray) -> np.ndarray:
        intent = np.flatnonzero(slots["header"]["type"] == RecordType.INTENT)[2]
        at = np.flatnonzero(slots["header"]["type"][:intent] == RecordType.DECISION)[-1]
        slots["payload"][at, offset] ^= 1
        return slots

    changed = rewritten(run, tmp_path / "run", change)
    assert explain(changed, "2").is_equal  # before it nothing was touched
    with pytest.raises(ReplayDiverged, match=r"decision: probability is \[.* in the journal, \["):
        explain(changed, "3")
    with pytest.raises(ReplayDiverged, match=r"cannot be made again up to record \d+: journal rec"):
        explain(changed, "4")


def test_a_journal_that_was_cut_knows_its_orders_up_to_there(run: Path, tmp_path: Path) -> None:
    last = orders(run)[-1]["journal_sequence"]
    cut = rewritten(run, tmp_path / "run", lambda slots: slots[: last - 1])
    assert explain(cut, "2").is_equal
    with pytest.raises(UnknownOrder, match=f"{last - 1:,} records"):
        explain(cut, orders(run)[-1]["order_id"])
    shutil.copy(run / "journal.anchor", cut / "journal.anchor")
    with pytest.raises(UnknownOrder, match=r"the journal was cut: its anchor knows [\d,]+ records"):
        explain(cut, orders(run)[-1]["order_id"])


def test_a_model_that_came_while_the_engine_ran_explains_its_own_orders(swapped: Path) -> None:
    assert gm.replay(swapped).has_ended
    why = explain(swapped, "last")
    assert why.model is not None
    assert (why.model.number, why.model.sha256) == (1, LIVE)
    assert why.agents[0].weight == 0.3
    assert why.is_equal
    shadow = explain(swapped, "last", shadow=True)
    assert shadow.model is not None
    assert (shadow.model.number, shadow.model.sha256) == (2, SHADOW)
    assert shadow.agents[0].weight == -0.3
    assert shadow.decision is not None
    assert shadow.decision.is_shadow
    assert shadow.order == why.order
    assert "never trades" in shadow.text


def test_without_a_shadow_there_is_nothing_to_say_of_it(run: Path) -> None:
    with pytest.raises(DataGap, match="no shadow model decided"):
        explain(run, "last", shadow=True)


def copied(swapped: Path, target: Path) -> tuple[Path, Path]:
    shutil.copytree(swapped, target)
    return target, target / "models" / f"{LIVE}.bin"


def test_a_model_that_is_gone_is_named_with_where_it_was_looked_for(
    swapped: Path, tmp_path: Path
) -> None:
    run, path = copied(swapped, tmp_path / "run")
    path.unlink()
    with pytest.raises(DataGap) as caught:
        explain(run, "last")
    said = f"model 1, which decided (sha256 {LIVE}): {path}: No such file or directory"
    assert str(caught.value).startswith(said)
    path.write_bytes(b"x")
    with pytest.raises(DataGap, match="holds 1 bytes, a model has at least 256"):
        explain(run, "last")
    path.write_bytes(model_block(SHADOW, 0.3))
    with pytest.raises(DataGap, match=f"holds another bundle, {SHADOW}"):
        explain(run, "last")


def test_a_model_file_that_was_changed_is_told_by_its_hash(swapped: Path, tmp_path: Path) -> None:
    run, path = copied(swapped, tmp_path / "run")
    path.write_bytes(model_block(LIVE, 0.3000001))
    with pytest.raises(ReplayDiverged, match="not the file that was taken as model 1"):
        explain(run, "last")


def test_an_explanation_is_data(run: Path) -> None:
    tree = msgspec.json.decode(msgspec.json.encode(plain(explain(run, "1"))))
    assert len(tree["matrix"]) == 48
    assert len(tree["attribution"]["matrix"][0][0]) == 16
    assert tree["attribution"]["is_complete"]
    assert tree["decision"]["action"] in ("long", "short")
    assert tree["agents"][0]["has_voted"]


def test_ids_are_those_of_the_database(run: Path) -> None:
    intents = payloads(records(run), RecordType.INTENT, layout.NEW_ORDER)
    with sqlite3.connect(run / "gm.db") as database:
        found = database.execute("SELECT order_id FROM orders ORDER BY journal_sequence").fetchall()
    assert [order_id(intent["id"]) for intent in intents] == [name for (name,) in found]
