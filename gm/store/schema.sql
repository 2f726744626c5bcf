-- What the journal says, as tables. A view: dropped and rebuilt from the journal at any time, and
-- never read to decide a trade. Prices in ticks, quantities in lots, money in micro-units, time in
-- ns UTC (engine time).
CREATE TABLE IF NOT EXISTS cursor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    journal_sequence INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO cursor VALUES (1, 0);

CREATE TABLE IF NOT EXISTS decisions (
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    bar_start_ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    action TEXT NOT NULL,               -- long, neutral, short
    acts INTEGER NOT NULL,              -- 1: confident enough and not neutral
    probability_long REAL NOT NULL,
    probability_neutral REAL NOT NULL,
    probability_short REAL NOT NULL,
    agents INTEGER NOT NULL,            -- bit i: agent i took part
    agent_probabilities TEXT NOT NULL   -- JSON: one [long, neutral, short] an agent
) STRICT;

CREATE TABLE IF NOT EXISTS tactical_decisions (
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    bar_start_ts_ns INTEGER NOT NULL,   -- of 5 minutes
    instrument TEXT NOT NULL,
    model INTEGER NOT NULL,             -- that decided; 0: the bundle of the settings
    enters INTEGER NOT NULL,            -- 1: sure enough, not vetoed, as the standing direction
    direction INTEGER NOT NULL,         -- that the votes are for: 1 long, -1 short, 0 none
    standing INTEGER NOT NULL,          -- that the strategic decision gives, likewise
    score REAL NOT NULL,
    fvg TEXT NOT NULL,                  -- long, neutral, short
    momentum TEXT NOT NULL,
    entry TEXT NOT NULL,                -- wait, execute, aggressive
    synergy_type INTEGER NOT NULL,      -- whose weights counted; 0: no synergy stood
    agents INTEGER NOT NULL,            -- bit i: agent i took part: fvg, momentum, entry
    agent_probabilities TEXT NOT NULL   -- JSON: three of fvg, momentum, entry
) STRICT;

CREATE TABLE IF NOT EXISTS synergies (
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    bar_end_ts_ns INTEGER NOT NULL,     -- of the bar that completed it
    instrument TEXT NOT NULL,
    type INTEGER NOT NULL,              -- 1 to 4, the order of its signals
    direction INTEGER NOT NULL,         -- 1 long, -1 short
    confidence REAL NOT NULL,           -- mean of the strengths, in [0, 1]
    mlmi_strength REAL NOT NULL,
    nwrqk_strength REAL NOT NULL,
    fvg_strength REAL NOT NULL,
    mlmi_age_s INTEGER NOT NULL,
    nwrqk_age_s INTEGER NOT NULL,
    fvg_age_s INTEGER NOT NULL,
    close_ticks INTEGER NOT NULL,       -- of that bar
    volatility_30 REAL NOT NULL,        -- of the newest strategic row
    atr_ticks REAL NOT NULL             -- of 30 minutes
) STRICT;

CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY,          -- installation-epoch-counter
    journal_sequence INTEGER NOT NULL,
    ts_ns INTEGER NOT NULL,
    decision_bar_start_ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    side TEXT NOT NULL,                 -- buy, sell
    type TEXT NOT NULL,
    reason TEXT NOT NULL,
    price_ticks INTEGER NOT NULL,       -- 0: market
    quantity_lots INTEGER NOT NULL,
    filled_lots INTEGER NOT NULL,
    state TEXT NOT NULL,
    reject_reason TEXT NOT NULL,
    tombstoned INTEGER NOT NULL,        -- 1: the venue confirmed that it never saw the id
    updated_ts_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS fills (
    execution_id INTEGER PRIMARY KEY,   -- from 2^63 on: less 2^64
    order_id TEXT NOT NULL,
    instrument TEXT NOT NULL,
    side TEXT NOT NULL,
    price_ticks INTEGER NOT NULL,
    quantity_lots INTEGER NOT NULL,
    commission_micros INTEGER NOT NULL,
    ts_ns INTEGER NOT NULL,
    journal_sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS refusals (
    journal_sequence INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL,
    ts_ns INTEGER NOT NULL,
    decision_bar_start_ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity_lots INTEGER NOT NULL,
    price_ticks INTEGER NOT NULL,
    code TEXT NOT NULL,                 -- R06: the first failure
    mask INTEGER NOT NULL,              -- bit n-1: Rn failed
    value INTEGER NOT NULL,
    limit_value INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS positions (  -- after each fill and each closed 30-minute bar
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    position_lots INTEGER NOT NULL,
    cost_ticks_lots TEXT NOT NULL,      -- 128 bits, as text
    realised_micros INTEGER NOT NULL,
    unrealised_micros INTEGER NOT NULL,
    commission_micros INTEGER NOT NULL,
    round_trips INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS book_acceptances (  -- two people have accepted the venue's books
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    break_sha256 TEXT NOT NULL,         -- of the books as they were shown
    signatures_sha256 TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS book_adjustments (  -- right behind; none: they were others by then
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    position_lots INTEGER NOT NULL,     -- the venue's less ours, like the next two
    cash_micros TEXT NOT NULL,          -- 128 bits, as text
    commission_micros INTEGER NOT NULL,
    adjusted_micros TEXT NOT NULL       -- of the cash, what the lots do not explain
) STRICT;

CREATE TABLE IF NOT EXISTS quarantine (
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,
    refused_by TEXT NOT NULL,           -- reader, engine
    line INTEGER,                       -- of the file, when the reader refused it
    bar_start_ts_ns INTEGER,            -- when the engine refused it
    reason TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS kernel_quarantines (  -- a user kernel that is not called any more
    journal_sequence INTEGER PRIMARY KEY,
    ts_ns INTEGER NOT NULL,
    instrument TEXT NOT NULL,           -- of the call that was its last
    kernel INTEGER NOT NULL,            -- its row in run.json
    sha256 TEXT NOT NULL,
    status TEXT NOT NULL,               -- not_finite, out_of_range, over_budget, failed, hung
    policy TEXT NOT NULL                -- halt, skip
) STRICT;
