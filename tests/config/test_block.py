"""Promise: the settings block says what the YAML says, in the core's layout, or is not made."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from gm import layout
from gm._native.runtime import Core, libzmq_path
from gm._native.session import Session
from gm.calendars import offset_table, session_table
from gm.config import Settings, load_settings
from gm.config.block import PADDING, Agents, Desk, SignedLimits, Tactical, build_block, build_model
from gm.config.instruments import load_instruments
from gm.errors import BadArgument, BadLimits, BadSettings, ConfigError
from gm.models import BASELINE_PATH, agent_rows, load_bundle, tactical_rows

from ..models.make import six_networks

START_NS = 1_640_995_200_000_000_000  # 2022-01-01
END_NS = START_NS + 60 * 86_400_000_000_000


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(Path("configs/development.yaml"))


@pytest.fixture(scope="module")
def agents() -> Agents:
    bundle = load_bundle(BASELINE_PATH)
    rows, onnx = agent_rows(bundle)
    return Agents(
        rows=rows, onnx=onnx, threshold=bundle.manifest.threshold,
        feature_schema_sha256=bytes.fromhex(bundle.manifest.feature_schema_sha256),
        bundle_sha256=bytes.fromhex(bundle.sha256),
    )  # fmt: skip


def desk(symbol: str, **changes: object) -> Desk:
    row = load_instruments()[symbol]
    made = Desk(
        symbol=symbol, instrument=row.to_row(),
        sessions=session_table(row, START_NS, END_NS),
        offsets=offset_table(row, START_NS, END_NS),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def with_limits(settings: Settings, symbol: str, **changes: object) -> Settings:
    section = msgspec.structs.replace(settings.trading[symbol], **changes)
    return msgspec.structs.replace(settings, trading=settings.trading | {symbol: section})


class Block:
    """A block read again by the words of engine/settings.hpp: header, then tables of 64 bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0
        self.header = self.table(layout.SETTINGS_HEADER, 1)[0]
        self.account = self.table(layout.ACCOUNT_LIMITS, 1)[0]
        count = int(self.header["instrument_count"])
        self.instruments = self.table(layout.INSTRUMENT, count)
        self.limits = self.table(layout.LIMITS, count)
        self.sizing = self.table(layout.SIZING, count)
        self.sessions = self.table(layout.SESSION_INTERVAL, int(self.header["session_count"]))
        self.offsets = self.table(layout.OFFSET_CHANGE, int(self.header["offset_count"]))
        self.agents = self.table(layout.AGENT_SETTINGS, int(self.header["agent_count"]))
        self.onnx = [self.take(int(row["onnx_size"])) for row in self.agents]

    def take(self, size: int) -> bytes:
        taken = self.raw[self.at : self.at + size]
        self.at += size + -size % PADDING
        assert self.raw[self.at - (-size % PADDING) : self.at] == bytes(-size % PADDING)
        return taken

    def table(self, dtype: np.dtype[Any], count: int) -> np.ndarray:
        return np.frombuffer(self.take(dtype.itemsize * count), dtype)


def test_every_number_of_the_yaml_is_in_the_block_in_the_units_of_the_core(
    settings, agents
) -> None:
    block = Block(build_block(settings, [desk("BTC-PERP")], agents))
    assert block.at == len(block.raw)
    header, limits = block.header, block.limits[0]
    assert header["magic"] == layout.SETTINGS_MAGIC
    assert header["order_timeout_ns"] == 2_000_000_000
    assert header["order_valid_for_ns"] == 5_000_000_000
    assert header["max_hold_bars"] == 46
    assert header["confirmed_clean_bars"] == 48
    assert header["threshold"] == 0.55
    assert (header["synergy_mlmi_min"], header["synergy_slope_min"]) == (10.0, 0.02)
    assert (header["synergy_window_bars"], header["synergy_cooldown_bars"]) == (24, 5)
    assert header["bundle_sha256"].tobytes() == agents.bundle_sha256
    assert block.account["cancels_burst_max"] == settings.account.cancels_burst_max
    assert limits["order_quantity_lots_max"] == 2000
    assert limits["order_notional_micros_max"] == 9_000_000_000
    assert limits["collar_ppm"] == 20_000
    assert limits["reference_age_ns_max"] == 60_000_000_000
    assert limits["position_lots_max"] == 1000
    assert limits["duplicate_window_ns"] == 1_000_000_000
    assert limits["margin_micros_per_lot"] == 2_000_000
    assert limits["loss_micros_max"] == 0
    assert (limits["repeat_executions_max"], limits["repeat_window_ns"]) == (0, 1_000_000_000)
    assert block.account["gross_micros_max"] == 10_000_000_000_000
    assert block.account["credit_micros_max"] == 10_000_000_000_000
    assert block.account["loss_micros_max"] == 1_000_000_000_000
    assert block.account["drawdown_micros_max"] == 1_000_000_000_000
    assert header["loss_confirmations"] == 3
    assert header["limits_expire_ts_ns"] == 0
    assert not header["limits_sha256_head"].any()
    assert (limits["sides_allowed"], limits["types_allowed"]) == (3, 1)
    assert block.sizing[0]["target_lots"] == 1000
    assert block.onnx == list(agents.onnx)


def test_the_signed_set_is_in_the_block(settings, agents) -> None:
    signed = SignedLimits(
        sequence=3, sha256="0123456789abcdef" + "ff" * 24, expires_s=1_800_000_000
    )
    header = Block(build_block(settings, [desk("BTC-PERP")], agents, limits=signed)).header
    assert header["limits_expire_ts_ns"] == 1_800_000_000_000_000_000
    assert header["limits_sha256_head"].tobytes() == bytes.fromhex("0123456789abcdef")


def test_a_tactical_team_stands_behind_the_kernels_and_its_files_behind_the_others(
    settings, agents, tmp_path
) -> None:
    settings_row, rows, onnx = tactical_rows(six_networks(tmp_path / "six"))
    team = Tactical(settings=settings_row, rows=rows, onnx=onnx)
    with_team = msgspec.structs.replace(agents, tactical=team)
    for raw, header in (
        (build_block(settings, [desk("BTC-PERP")], with_team), layout.SETTINGS_HEADER),
        (build_model(with_team), layout.MODEL_HEADER),
    ):
        assert np.frombuffer(raw, header, 1)["tactical_agent_count"].tolist() == [3]
        parts = [*agents.onnx, *team.onnx]
        assert raw.endswith(b"".join(part + bytes(-len(part) % PADDING) for part in parts))
        at = raw.index(team.settings.tobytes())
        rows = np.frombuffer(raw, layout.AGENT_SETTINGS, 3, at + PADDING * 2)
        assert rows["name"].tolist() == [b"fvg", b"momentum", b"entry"]


def test_each_instrument_has_its_own_slice_of_the_tables(settings, agents) -> None:
    desks = [desk("NQ"), desk("BTC-PERP"), desk("IBM")]
    block = Block(build_block(settings, desks, agents))
    for row, one in zip(block.instruments, desks, strict=True):
        assert row["symbol"].decode() == one.symbol
        for table, name in ((block.sessions, "session"), (block.offsets, "offset")):
            first, count = int(row[f"{name}_first"]), int(row[f"{name}_count"])
            assert np.array_equal(table[first : first + count], getattr(one, f"{name}s"))
    assert block.header["session_count"] == sum(len(one.sessions) for one in desks)


@pytest.mark.parametrize(
    ("sides", "types", "bits"),
    [
        (("buy",), ("market",), (1, 1)),
        (("sell",), ("limit", "stop"), (2, 6)),
        (("sell", "buy", "buy"), ("stop", "market", "limit"), (3, 7)),
    ],
)
def test_sides_and_types_are_bits_and_a_word_twice_counts_once(
    settings, agents, sides, types, bits
) -> None:
    changed = with_limits(settings, "NQ", sides=sides, types=types)
    limits = Block(build_block(changed, [desk("NQ")], agents)).limits[0]
    assert (limits["sides_allowed"], limits["types_allowed"]) == bits


def test_equal_input_gives_equal_bytes(settings, agents) -> None:
    first = build_block(settings, [desk("NQ")], agents)
    assert first == build_block(settings, [desk("NQ")], agents)
    assert len(first) % PADDING == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("order_notional_max", Decimal(2**63) / 10**6),
        ("order_notional_max", Decimal("9000.0000001")),
        ("order_notional_max", Decimal("1e13")),
        ("collar_percent", Decimal("2.00001")),
    ],
)
def test_a_limit_that_does_not_fit_is_refused_and_not_rounded(settings, agents, key, value) -> None:
    changed = with_limits(settings, "BTC-PERP", **{key: value})
    with pytest.raises(ConfigError, match=rf"trading\.BTC-PERP\.{key}: .* finer or larger"):
        build_block(changed, [desk("BTC-PERP")], agents)


def test_the_largest_limit_that_fits_is_exact(settings, agents) -> None:
    largest = Decimal(2**63 - 1) / 10**6
    changed = with_limits(settings, "BTC-PERP", order_notional_max=largest)
    limits = Block(build_block(changed, [desk("BTC-PERP")], agents)).limits
    assert limits["order_notional_micros_max"][0] == 2**63 - 1


def test_an_instrument_without_limits_is_refused(settings, agents) -> None:
    nothing = msgspec.structs.replace(settings, trading={})
    with pytest.raises(ConfigError, match=r"trading\.NQ: no size and no limits"):
        build_block(nothing, [desk("NQ")], agents)


def open_core(tmp_path: Path, block: bytes) -> int:
    """Let the core read a block, start nothing; how many instruments it has."""
    with zmq.Context() as context:
        core = Core(
            block, str(tmp_path / "run"), libzmq_path(), context.underlying,
            journal_segment_bytes=1 << 20,
        )  # fmt: skip
        core.close()
        return len(core.status()["instruments"])


@pytest.mark.parametrize("symbols", [("BTC-PERP",), ("NQ", "6E", "IBM", "BTC-PERP")])
def test_the_core_takes_the_block(tmp_path, settings, agents, symbols) -> None:
    block = build_block(settings, [desk(symbol) for symbol in symbols], agents)
    assert open_core(tmp_path, block) == len(symbols)


def test_the_core_refuses_a_block_that_is_cut_or_lengthened(tmp_path, settings, agents) -> None:
    block = build_block(settings, [desk("BTC-PERP")], agents)
    for broken in (b"", block[:100], block[:-64], block + bytes(64), b"\0" * len(block)):
        with pytest.raises(BadSettings):
            open_core(tmp_path, broken)


def test_the_core_refuses_limits_that_would_let_everything_through(
    tmp_path, settings, agents
) -> None:
    for changes in (
        {"order_quantity_lots_max": 0},
        {"position_lots_max": -1},
        {"order_notional_max": Decimal(0)},
    ):
        changed = with_limits(settings, "BTC-PERP", **changes)
        with pytest.raises((BadLimits, BadSettings)):
            open_core(tmp_path, build_block(changed, [desk("BTC-PERP")], agents))


def test_the_tail_of_an_agent_reaches_its_network(settings, agents) -> None:
    rows = agents.rows.copy()
    rows["tail"][1] = 7
    block = build_block(settings, [desk("BTC-PERP")], msgspec.structs.replace(agents, rows=rows))
    venue, tape = np.zeros(1, layout.VENUE_SETTINGS), np.zeros(0, layout.TAPE_ROW)
    with pytest.raises(BadArgument, match=r"agent nwrqk: tail must be 0 \(float32\) or 1"):
        Session(block, venue, tape)
