// The order protocol of SAFETY ("Order states", "Recovery", "Kill switch") for Spin.
//
// What may never happen is a PROMISE(name, condition); check.py runs the searches and reads which
// promise was refuted. States are named as in SAFETY, phases as in gm::SessionPhase.
//
// Transport, as in core/src/runtime: a socket of its own for each connection, FIFO within it. A
// connection that is gone still delivers a prefix of what was queued, at any later time and
// between the messages of newer ones; the rest is lost. Replies are numbered and kept at the
// venue: to the engine they are one durable FIFO, and it journals each in the step that takes it.
// So all of the engine's order state survives a crash; connection and kill word do not.
//
// The venue is as weak as SAFETY allows: it does not look for repeated ids, and without
// SESSION_FENCE only an older epoch makes a message stale.
//
// check.py defines:
//   ORDERS, CRASHES, LOSSES  orders; crashes of the engine and losses of a connection, at most
//   LIFE           1: with cancel, replace, partial fill, expiry and repeated fills
//   SESSION_FENCE  1: the fence of the present code: by connection, at HELLO, before the drain
//   WRONG          RIGHT, or the version that must be refuted
//   ROOM           of a connection and of replies not yet taken, more than ORDERS; a sender waits
#define SESSIONS (1 + CRASHES + LOSSES)
#define QUANTITY (1 + LIFE)
#define is_wrong(version) (WRONG == version)

mtype = {
    // of an order, in the engine's journal; NEW is not journalled yet
    NEW, INTENT, SENT, UNKNOWN, LIVE, PARTIAL, PENDING_CANCEL, PENDING_REPLACE,
    FILLED, CANCELLED, EXPIRED, REJECTED, NEVER, DENIED,
    ABSENT, WORKING, GONE,                            // of an order at the venue
    DOWN, CLOSED, WELCOME, REPLIES, QUERIES, READY,   // of the session; DOWN: the process is dead
    HELLO, FENCE, NEW_ORDER, CANCEL, REPLACE, QUERY,  // to the venue; from it:
    ACK, REJECT, FILL, CANCEL_DONE, CANCEL_LATE, EXPIRY, REPLACE_DONE, REPLACE_REFUSED,
    REPORT_OPEN, REPORT_ENDED, REPORT_ABSENT, REPORT_REPLACE_ABSENT,
    // versions: eight of SAFETY, and four more by which the other promises are broken once
    RIGHT, SEND_BEFORE_JOURNAL, RESEND_ON_RESTART, TIMEOUT_IS_REJECT, FENCE_WITHOUT_TOMBSTONE,
    KILL_BEFORE_SEND, KILL_IN_MEMORY, FLUSH_ON_RECONNECT, VALIDITY_IGNORED,
    NO_QUERY, NEW_SIZE_RESERVED, REPLACE_WITHOUT_TOMBSTONE, REPEATED_FILL_BOOKED
};

// The engine's journal: survives a crash.
mtype state[ORDERS];
byte quantity[ORDERS];    // as the venue last confirmed it
byte filled[ORDERS];      // cumulative; also the number of the last execution id that was booked
byte wanted[ORDERS];      // the size of a REPLACE that is unanswered, else 0
bool replaced[ORDERS];    // an order is replaced once at most
byte epoch;               // of this life; raised, and synced, before it connects
bool kill_latch;          // the latch file

// The engine's memory: a crash loses it.
mtype phase = DOWN;
bool kill_word;           // what the send reads in the same step
bool asked[ORDERS];       // a QUERY of this connection is out
byte replies_due;         // of those that WELCOME announced
bool early[ORDERS];       // wrong versions: sent unjournalled; cleared to send; in the queue

// The connections. The newest is number opened - 1.
byte opened;
byte epoch_of[SESSIONS];
chan pipe[SESSIONS] = [ROOM] of {mtype, byte, byte};    // kind, order, size of a replace
chan replies = [ROOM] of {mtype, byte, byte, byte};     // kind, order, filled, leaves or quantity

// The venue: durable.
mtype venue[ORDERS] = ABSENT;
bool buried[ORDERS];      // the id's tombstone
byte fence;               // the newest epoch; with SESSION_FENCE the newest connection + 1
byte welcomed;            // the newest connection that said HELLO, + 1
byte venue_quantity[ORDERS], venue_filled[ORDERS];
bool replace_over[ORDERS];  // the replace's own id was taken, refused or buried

// The world.
byte crashes_left, losses_left;
bool may_kill, kill_answered;  // somebody will, and was told that the kill is in force
bool overdue[ORDERS];     // valid_until has passed for an order that has not arrived

// Scratch of single steps, no part of the state.
hidden byte id, size, lots, k;
hidden mtype kind;

// Spin prints a refuted condition, and with it the name of the promise.
hidden byte at_most_once, journalled, dead_is_dead, kill_is_last, kill_survives, sizes_add_up,
    exposure_reserved, valid_in_time, table_holds, reconciled, idle_is_settled;
#define PROMISE(name, condition) assert((condition) || name)
// In a wrong version the harm itself must be found, not its first symptom.
#define SYMPTOM(name, condition) assert(WRONG != RIGHT || (condition) || name)

#define is_dead(i) (state[i] == CANCELLED || state[i] == EXPIRED || state[i] == REJECTED || \
                    state[i] == NEVER || state[i] == DENIED)
#define is_terminal(i) (is_dead(i) || state[i] == FILLED)
#define is_open(i) (state[i] != NEW && !is_terminal(i))
#define in_flight(i) (state[i] == INTENT || state[i] == SENT)
#define is_awaited(i) (state[i] == SENT || state[i] == UNKNOWN)
#define is_resting(i) (state[i] == LIVE || state[i] == PARTIAL)
#define is_pending(i) (state[i] == PENDING_CANCEL || state[i] == PENDING_REPLACE)
#define rested(i) (filled[i] > 0 -> PARTIAL : LIVE)
#define larger(i) (wanted[i] > quantity[i] || (wanted[i] > 0 && is_wrong(NEW_SIZE_RESERVED)))
#define reserved(i) (is_open(i) -> (larger(i) -> wanted[i] : quantity[i]) - filled[i] : 0)
#define venue_leaves(i) (venue_quantity[i] - venue_filled[i])
#define is_connected (phase != DOWN && phase != CLOSED)
#define newest (opened - 1)
#define may_send(i) (phase == READY && len(pipe[newest]) < ROOM)
#define may_replace(i) (LIFE && is_resting(i) && may_send(i) && !kill_word && !replaced[i])
#define may_reply (len(replies) < ROOM)

// After every step by which the venue may hold more, or the engine reserves less.
#define CHECK(i) \
    PROMISE(dead_is_dead, !(is_dead(i) && venue[i] == WORKING)); \
    PROMISE(exposure_reserved, venue[i] != WORKING || reserved(i) >= venue_leaves(i))

#define SEND_NEW(i) PROMISE(kill_is_last, !kill_answered); pipe[newest]!NEW_ORDER, i, 0

// With an unanswered replace it asks for the replace's id too.
#define SEND_QUERY(i) pipe[newest]!QUERY, i, wanted[i]; asked[i] = true
// What does not matter any more is set to one value: fewer states.
inline forget(i) { quantity[i] = 0; filled[i] = 0; wanted[i] = 0; replaced[i] = false }

inline send_replace(i, to) {
    PROMISE(kill_is_last, !kill_answered);
    state[i] = PENDING_REPLACE; wanted[i] = to; replaced[i] = true; pipe[newest]!REPLACE, i, to
}

inline become_ready_if_known() {
    k = 0;
    do :: k < ORDERS && !asked[k] -> k++ :: else -> break od;
    if :: phase == QUERIES && k == ORDERS -> phase = READY :: else fi
}

// The process or the connection is gone: what was not acknowledged may or may not have arrived.
inline lose_sight() {
    replies_due = 0;
    for (k : 0 .. ORDERS - 1) {
        asked[k] = false;
        if
        :: is_wrong(FLUSH_ON_RECONNECT) && phase == CLOSED && (state[k] == INTENT || early[k])
        :: else -> early[k] = false; state[k] = (in_flight(k) -> UNKNOWN : state[k])
        fi
    }
    k = 0
}

inline take_fill() {
    if
    :: size <= filled[id] && !is_wrong(REPEATED_FILL_BOOKED)  // a known execution id: dropped
    :: else ->
        SYMPTOM(table_holds, is_resting(id) || is_pending(id));
        filled[id]++;
        PROMISE(sizes_add_up, filled[id] == size && size + lots == quantity[id]);
        state[id] = (lots == 0 -> FILLED : (is_resting(id) -> PARTIAL : state[id]))
    fi
}

inline take_report() {
    asked[id] = false;
    if
    :: kind == REPORT_ABSENT ->  // again, when an older connection asked too
        SYMPTOM(table_holds, state[id] == UNKNOWN || state[id] == NEVER);
        state[id] = (state[id] == UNKNOWN -> NEVER : state[id])
    :: kind == REPORT_ENDED -> SYMPTOM(reconciled, is_terminal(id))  // known: replies are a FIFO
    :: else ->
        SYMPTOM(reconciled, is_resting(id) || is_pending(id));
        SYMPTOM(reconciled, filled[id] == size && quantity[id] == lots);
        if
        :: state[id] == PENDING_CANCEL -> state[id] = rested(id)
        :: state[id] == PENDING_REPLACE && kind == REPORT_REPLACE_ABSENT ->
            wanted[id] = 0; state[id] = rested(id)
        :: else
        fi
    fi
}

inline take_reply() {
    if
    :: kind == ACK || kind == REJECT ->
        SYMPTOM(table_holds, is_awaited(id));
        if :: is_awaited(id) -> state[id] = (kind == ACK -> LIVE : REJECTED) :: else fi
    :: kind == FILL -> take_fill()
    :: kind == CANCEL_DONE || kind == EXPIRY ->
        SYMPTOM(table_holds, is_resting(id) || is_pending(id));
        state[id] = (kind == EXPIRY -> EXPIRED : CANCELLED)
    :: kind == CANCEL_LATE ->
        SYMPTOM(table_holds, is_resting(id) || is_pending(id) || is_terminal(id));
        if :: state[id] == PENDING_CANCEL -> state[id] = rested(id) :: else fi
    :: kind == REPLACE_DONE ->
        SYMPTOM(table_holds, state[id] == PENDING_REPLACE && wanted[id] == lots);
        PROMISE(sizes_add_up, filled[id] == size && size < lots);
        quantity[id] = lots; wanted[id] = 0; state[id] = rested(id)
    :: kind == REPLACE_REFUSED ->
        SYMPTOM(table_holds, state[id] == PENDING_REPLACE || is_terminal(id));
        if :: state[id] == PENDING_REPLACE -> wanted[id] = 0; state[id] = rested(id) :: else fi
    :: else -> take_report()
    fi;
    CHECK(id);
    if :: is_terminal(id) -> forget(id) :: else fi;
    become_ready_if_known()
}

// After the drain: fence, then ask for everything that is open.
inline fence_and_query() {
    phase = QUERIES;
    if :: !SESSION_FENCE -> pipe[newest]!FENCE, 0, 0 :: else fi;
    for (k : 0 .. ORDERS - 1) {
        if
        :: is_wrong(RESEND_ON_RESTART) && state[k] == UNKNOWN && !kill_word ->
            state[k] = SENT; SEND_NEW(k)
        :: else -> if :: is_open(k) && !is_wrong(NO_QUERY) -> SEND_QUERY(k) :: else fi
        fi
    }
    become_ready_if_known()
}

proctype Engine() {
    end: do
    :: d_step { phase == CLOSED || phase == DOWN ->  // connect; a dead process starts first
        if :: phase == DOWN -> epoch++; kill_word = kill_latch :: else fi;
        PROMISE(kill_survives, !kill_answered || kill_word);
        epoch_of[opened] = epoch; opened++; phase = WELCOME; pipe[newest]!HELLO, 0, 0;
        for (k : 0 .. ORDERS - 1) {
            if :: phase == WELCOME && early[k] -> early[k] = false; SEND_NEW(k) :: else fi
        }
        k = 0 }
    :: d_step { (phase == REPLIES || phase == QUERIES || phase == READY) && len(replies) > 0 ->
        replies?kind, id, size, lots;
        if :: replies_due > 0 -> replies_due-- :: else fi;
        take_reply() }
    :: d_step { phase == REPLIES && replies_due == 0 && len(pipe[newest]) + ORDERS < ROOM ->
        fence_and_query() }
    od
}

// What the engine does of itself about order i. Ids are counted up: i comes after i - 1.
proctype Order(byte i) {
    end: do
    :: d_step { state[i] == NEW && may_send(i) && (i == 0 || state[i - 1] != NEW) ->  // the gate
        if
        :: kill_word && !early[i] -> state[i] = DENIED
        :: is_wrong(SEND_BEFORE_JOURNAL) && early[i] -> early[i] = false; state[i] = SENT
        :: is_wrong(SEND_BEFORE_JOURNAL) && !early[i] && !kill_word -> SEND_NEW(i); early[i] = true
        :: else -> state[i] = INTENT
        fi }
    :: d_step { state[i] == INTENT && may_send(i) ->  // the send reads the word in the same step
        if
        :: kill_word && !early[i] -> state[i] = NEVER; overdue[i] = false
        :: is_wrong(KILL_BEFORE_SEND) && !early[i] && !kill_word -> early[i] = true
        :: else -> early[i] = false; state[i] = SENT; SEND_NEW(i)
        fi }
    :: d_step { is_wrong(FLUSH_ON_RECONNECT) && state[i] == INTENT && phase == CLOSED ->
        if :: kill_word -> state[i] = NEVER :: else -> state[i] = SENT; early[i] = true fi }
    :: d_step { state[i] == SENT && may_send(i) ->  // no answer in time
        if
        :: is_wrong(TIMEOUT_IS_REJECT) -> state[i] = REJECTED; CHECK(i)
        :: else -> state[i] = UNKNOWN; SEND_QUERY(i)
        fi }
    :: d_step { is_pending(i) && !asked[i] && may_send(i) -> SEND_QUERY(i) }
    :: d_step { LIFE && is_resting(i) && may_send(i) ->
        state[i] = PENDING_CANCEL; pipe[newest]!CANCEL, i, 0 }
    :: d_step { may_replace(i) -> send_replace(i, QUANTITY + 1) }
    :: d_step { may_replace(i) -> send_replace(i, QUANTITY - 1) }
    od
}

#define is_stale(s) (SESSION_FENCE -> s + 1 < fence : epoch_of[s] < fence)
#define is_late(i) (overdue[i] && !is_wrong(VALIDITY_IGNORED))

inline end_order(i) { venue[i] = GONE; venue_quantity[i] = 0; venue_filled[i] = 0 }
inline send_fill(i) { replies!FILL, i, venue_filled[i], venue_leaves(i) }

inline take_order(s, refuses) {
    pipe[s]?NEW_ORDER, id, _;
    PROMISE(at_most_once, venue[id] == ABSENT);
    if
    :: buried[id]
    :: !buried[id] && (refuses || is_stale(s) || is_late(id)) ->
        venue[id] = GONE; overdue[id] = false; replies!REJECT, id, 0, 0
    :: else ->
        PROMISE(journalled, state[id] != NEW);
        PROMISE(valid_in_time, !overdue[id]);
        venue[id] = WORKING; venue_quantity[id] = QUANTITY; replies!ACK, id, 0, 0;
        CHECK(id)
    fi
}

inline take_query(s) {
    pipe[s]?QUERY, id, lots;
    if
    :: is_stale(s)
    :: !is_stale(s) && venue[id] == ABSENT ->
        buried[id] = !is_wrong(FENCE_WITHOUT_TOMBSTONE); overdue[id] = false;
        replies!REPORT_ABSENT, id, 0, 0
    :: !is_stale(s) && venue[id] == GONE -> replies!REPORT_ENDED, id, 0, 0
    :: !is_stale(s) && venue[id] == WORKING && lots > 0 && !replace_over[id] ->
        replace_over[id] = !is_wrong(REPLACE_WITHOUT_TOMBSTONE);
        replies!REPORT_REPLACE_ABSENT, id, venue_filled[id], venue_quantity[id]
    :: else -> replies!REPORT_OPEN, id, venue_filled[id], venue_quantity[id]
    fi
}

inline take_cancel(s, is_being_filled) {
    pipe[s]?CANCEL, id, _;
    if
    :: is_stale(s)
    :: !is_stale(s) && venue[id] == WORKING && !is_being_filled ->
        end_order(id); replies!CANCEL_DONE, id, 0, 0
    :: else -> replies!CANCEL_LATE, id, 0, 0
    fi
}

inline take_replace(s, refuses) {
    pipe[s]?REPLACE, id, lots;
    if
    :: is_stale(s) || replace_over[id]
    :: else ->
        replace_over[id] = true;
        if
        :: venue[id] == WORKING && lots > venue_filled[id] && !refuses ->
            venue_quantity[id] = lots; replies!REPLACE_DONE, id, venue_filled[id], lots; CHECK(id)
        :: else -> replies!REPLACE_REFUSED, id, 0, 0
        fi
    fi
}

// The venue may report the last fill of an order once more, to be safe.
inline take_hello(s, repeats) {
    pipe[s]?HELLO, _, _;
    for (k : 0 .. ORDERS - 1) { if :: repeats && venue_filled[k] > 0 -> send_fill(k) :: else fi }
    if :: s + 1 > welcomed -> welcomed = s + 1; fence = (SESSION_FENCE -> s + 1 : fence) :: else fi;
    if :: s == newest && phase == WELCOME -> phase = REPLIES; replies_due = len(replies) :: else fi
}

// The venue reads connection s, and the network loses what is left of one that is gone.
proctype Pipe(byte s) {
    end: do
    :: d_step { pipe[s]?[HELLO, _, _] -> take_hello(s, false) }
    :: d_step { LIFE && len(replies) + ORDERS <= ROOM && pipe[s]?[HELLO, _, _] ->
        take_hello(s, true) }
    :: d_step { pipe[s]?FENCE, _, _ -> fence = (epoch_of[s] > fence -> epoch_of[s] : fence) }
    :: d_step { may_reply && pipe[s]?[NEW_ORDER, _, _] -> take_order(s, false) }
    :: d_step { may_reply && pipe[s]?[NEW_ORDER, _, _] -> take_order(s, true) }
    :: d_step { may_reply && pipe[s]?[QUERY, _, _] -> take_query(s) }
    :: d_step { may_reply && pipe[s]?[CANCEL, _, _] -> take_cancel(s, false) }
    :: d_step { may_reply && pipe[s]?[CANCEL, _, _] -> take_cancel(s, true) }
    :: d_step { may_reply && pipe[s]?[REPLACE, _, _] -> take_replace(s, false) }
    :: d_step { may_reply && pipe[s]?[REPLACE, _, _] -> take_replace(s, true) }
    :: d_step { (s < newest || !is_connected) && len(pipe[s]) > 0 ->  // lost
        do :: len(pipe[s]) > 0 -> pipe[s]?_, _, _ :: else -> break od;
        k = 0 }
    od
}

// What happens to order i without a message: its time runs out; the market and the venue act.
proctype Fate(byte i) {
    end: do
    :: d_step { (state[i] == INTENT || is_awaited(i)) && venue[i] == ABSENT && !buried[i] &&
                !overdue[i] -> overdue[i] = true }
    :: d_step { LIFE && venue[i] == WORKING && may_reply ->
        PROMISE(dead_is_dead, !is_dead(i));
        venue_filled[i]++; send_fill(i);
        if :: venue_leaves(i) == 0 -> end_order(i) :: else fi }
    :: d_step { LIFE && venue[i] == WORKING && may_reply ->  // a cancel would be the same to us
        end_order(i); replies!EXPIRY, i, 0, 0 }
    od
}

proctype World() {
    end: do
    :: d_step { may_kill && phase != DOWN && !kill_word -> kill_word = true }
    :: d_step { kill_word && !kill_answered ->  // the latch file first
        kill_latch = !is_wrong(KILL_IN_MEMORY); kill_answered = true }
    :: d_step { crashes_left > 0 && phase != DOWN ->
        crashes_left--; phase = DOWN; kill_word = false; lose_sight() }
    :: d_step { losses_left > 0 && is_connected -> losses_left--; phase = CLOSED; lose_sight() }
    od
}

// Nothing can happen any more: every fate must be known, and after a kill nothing may rest.
proctype Idle() {
    timeout -> d_step {
        PROMISE(idle_is_settled, phase == READY);
        for (k : 0 .. ORDERS - 1) {
            PROMISE(idle_is_settled, is_terminal(k) || (is_resting(k) && venue[k] == WORKING));
            PROMISE(idle_is_settled, !(LIFE && kill_word && venue[k] == WORKING))
        }
        k = 0
    }
}

init {
    byte n;
    atomic {
        for (n : 0 .. ORDERS - 1) {
            state[n] = NEW; quantity[n] = QUANTITY; run Order(n); run Fate(n)
        }
        for (n : 0 .. SESSIONS - 1) { run Pipe(n) }
        n = 0;
        select (crashes_left : 0 .. CRASHES);
        select (losses_left : 0 .. LOSSES);
        if :: may_kill = true :: may_kill = false fi;
        run Engine(); run World(); run Idle()
    }
}
