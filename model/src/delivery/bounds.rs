//! How large the explored world is, how often what goes wrong in it, and which guards stand.

/// The world.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Tokens, all committed and due at the start.
    pub tokens: usize,
    /// Collectors; number i writes to pipe i.
    pub collectors: usize,
    /// Senders; number i reads pipe i.
    pub senders: usize,
    /// All collectors write to one log that all senders read.
    pub shared_log: bool,
    /// Lines that a pipe holds.
    pub pipe: usize,
    /// Calls that a sender carries at a time.
    pub concurrency: usize,
    /// `MAILROOM_MAX_ATTEMPTS`.
    pub ambiguities_max: u8,
    /// Whether what is lost on the way comes back after 60 s. Without it the model shows what has
    /// only this rule to fall back on.
    pub lost_rule: bool,
    /// A take-over locks its rows in one step and commits in another, so that begin can meet it.
    pub slow_take_over: bool,
    /// A sweep finds out who is gone in one step and takes their rows in another.
    pub slow_sweep: bool,
    /// Rows that cannot be written are rejected between a claim's answer and its line.
    pub rejects: bool,
    /// Senders connect only when they like, instead of being connected at the start.
    pub senders_start_away: bool,
    /// Whether the budget of duplicates counts a begin that a crash of PostgreSQL has undone.
    pub undone_begin_excuses: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// What prevents the worst.
    pub guards: Guards,
}

/// How often each fault may happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Faults {
    /// A collector dies.
    pub collector_crashes: u8,
    /// A sender dies; what its pipe holds is lost, unless it is a log.
    pub sender_crashes: u8,
    /// PostgreSQL dies and comes back, perhaps without its last asynchronous commits.
    pub database_crashes: u8,
    /// A collector's connection is lost.
    pub collector_losses: u8,
    /// A sender's connection is lost.
    pub sender_losses: u8,
    /// A sender is stopped (SIGSTOP) for longer than any time-out.
    pub stops: u8,
    /// A line is repeated, into any pipe.
    pub repeats: u8,
    /// A line is dropped.
    pub drops: u8,
    /// A line takes longer than 60 s.
    pub slow_lines: u8,
    /// The provider refuses for now, provably without sending.
    pub deferrals: u8,
    /// The provider refuses for good.
    pub rejections: u8,
    /// The provider's answer is lost.
    pub lost_answers: u8,
    /// The application uses a token.
    pub consumed: u8,
    /// A token expires.
    pub expired: u8,
    /// An account's address changes.
    pub readdressed: u8,
}

impl Faults {
    /// None at all.
    pub const NONE: Self = Self {
        collector_crashes: 0,
        sender_crashes: 0,
        database_crashes: 0,
        collector_losses: 0,
        sender_losses: 0,
        stops: 0,
        repeats: 0,
        drops: 0,
        slow_lines: 0,
        deferrals: 0,
        rejections: 0,
        lost_answers: 0,
        consumed: 0,
        expired: 0,
        readdressed: 0,
    };
}

/// What the code has so that the promises hold. All of them are on in the real protocol.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// `begin.sql`: `WHERE d.state = 'dispatched' OR (d.state = 'pending' AND …)`.
    pub begin_checks_state: bool,
    /// `begin.sql`: `FOR NO KEY UPDATE OF d`.
    pub begin_locks: bool,
    /// `begin.sql`: `t.consumed_at`, `t.expires_at`.
    pub begin_checks_token: bool,
    /// `begin.sql`: `a.email = asked.email`.
    pub begin_checks_address: bool,
    /// `settle_sent.sql` deletes the row in whatever state it is.
    pub sent_wins: bool,
    /// `settle_sent.sql`: `WHERE NOT EXISTS`.
    pub sent_once: bool,
    /// `settle_rest.sql`: `d.state = 'sending' AND d.holder = ANY ($2)`.
    pub settle_rest_is_ours: bool,
    /// `collector/src/run.rs`: `claim_and_emit` writes after the claim's answer.
    pub claim_commits_first: bool,
    /// `sweep.sql` takes rows by the numbers that are gone.
    pub by_the_gone: bool,
    /// `sweep.sql`: 30 s of grace for what was being sent.
    pub grace: bool,
    /// `sender/src/ledger.rs`: `recover` fences before anything else.
    pub fence: bool,
    /// `ledger.rs`: `recover` waits until what has a result is recorded.
    pub settle_first: bool,
    /// `ledger.rs`: a token stays `in_call` until its result is recorded, not until it is known.
    pub in_call_until_recorded: bool,
    /// `sender/sql/relabel.sql`: `d.holder = $3`.
    pub relabel_by_number: bool,
    /// `ledger.rs`: `Beginning::is_fresh` limits the time from begin to call.
    pub freshness: bool,
    /// `ledger.rs`: `Beginning::is_lost`, and the half of `is_fresh` that asks the session.
    pub session_lives: bool,
    /// `collector/sql/relabel.sql`: what was claimed later than `$4` never became a line.
    pub unanswered_go_back: bool,
    /// `run.rs`: `claimed_at` is remembered when the line goes out, not when the claim is answered.
    pub claimed_at_with_line: bool,
    /// `begin.sql` waits for a locked row instead of passing it over.
    pub begin_waits: bool,
    /// `ledger.rs`: `begin` does not send what is in a call of this process already.
    pub in_call_not_begun: bool,
    /// `ledger.rs`, `work.rs`: every number since the last take-over is fenced and relabelled, not only the last one that
    /// became ready.
    pub all_formers: bool,
    /// `sweep.sql`: that a call may have been accepted is durable before the row can be claimed.
    pub ambiguous_is_durable: bool,
}

impl Guards {
    /// The protocol as it is.
    pub const REAL: Self = Self {
        begin_checks_state: true,
        begin_locks: true,
        begin_checks_token: true,
        begin_checks_address: true,
        sent_wins: true,
        sent_once: true,
        settle_rest_is_ours: true,
        claim_commits_first: true,
        by_the_gone: true,
        grace: true,
        fence: true,
        settle_first: true,
        in_call_until_recorded: true,
        relabel_by_number: true,
        freshness: true,
        session_lives: true,
        unanswered_go_back: true,
        claimed_at_with_line: true,
        begin_waits: true,
        in_call_not_begun: true,
        all_formers: true,
        ambiguous_is_durable: true,
    };
}

impl Bounds {
    /// One token, one pipeline, and nothing goes wrong.
    pub const SMALL: Self = Self {
        tokens: 1,
        collectors: 1,
        senders: 1,
        shared_log: false,
        pipe: 2,
        concurrency: 1,
        ambiguities_max: 3,
        lost_rule: true,
        slow_take_over: false,
        slow_sweep: false,
        rejects: false,
        senders_start_away: false,
        undone_begin_excuses: true,
        faults: Faults::NONE,
        guards: Guards::REAL,
    };
}
