//! Each guard of the delivery protocol, taken away.

use model::delivery::{
    A_REPEAT_IS_RECORDED_FIRST, A_SENT_ROW_IS_A_MAIL, Bounds, DUPLICATES_ARE_COUNTABLE, Delivery,
    Faults, Guards, NOTHING_DEAD_IS_SENT,
};
use model::explore::IT_RECOVERS;

use crate::{breaks, holds};

const NO_FAULTS: Faults = Faults::NONE;
const REAL: Guards = Guards::REAL;

/// Two senders that read one log.
const LOG: Bounds = Bounds { senders: 2, shared_log: true, ..Bounds::SMALL };

/// Without the rule of 60 s: what breaks here has nothing else to fall back on.
const NO_LOST_RULE: Bounds = Bounds { lost_rule: false, ..Bounds::SMALL };

fn world(faults: Faults, guards: Guards) -> Bounds {
    Bounds { faults, guards, ..Bounds::SMALL }
}

#[track_caller]
fn without(name: &str, bounds: Bounds, promise: &str) {
    // The same world with the guard is what the protocol can bear.
    holds(
        &format!("{name}: with it"),
        &Delivery { bounds: Bounds { guards: REAL, ..bounds.clone() } },
    );
    breaks(name, Delivery { bounds }, promise);
}

#[test]
fn without_the_state_begin_sends_a_repeated_line_twice() {
    without(
        "without_the_state_begin_sends_a_repeated_line_twice",
        Bounds {
            faults: Faults { repeats: 1, ..NO_FAULTS },
            guards: Guards { begin_checks_state: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_the_row_lock_two_senders_begin_one_row() {
    without(
        "without_the_row_lock_two_senders_begin_one_row",
        Bounds {
            faults: Faults { repeats: 1, ..NO_FAULTS },
            guards: Guards { begin_locks: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_looking_at_the_token_begin_sends_a_dead_link() {
    let faults = Faults { consumed: 1, expired: 1, ..NO_FAULTS };
    without(
        "without_looking_at_the_token_begin_sends_a_dead_link",
        world(faults, Guards { begin_checks_token: false, ..REAL }),
        NOTHING_DEAD_IS_SENT,
    );
}

#[test]
fn without_looking_at_the_address_begin_sends_to_an_old_one() {
    without(
        "without_looking_at_the_address_begin_sends_to_an_old_one",
        world(
            Faults { readdressed: 1, ..NO_FAULTS },
            Guards { begin_checks_address: false, ..REAL },
        ),
        NOTHING_DEAD_IS_SENT,
    );
}

#[test]
fn without_sent_winning_in_any_state_a_known_mail_is_sent_again() {
    without(
        "without_sent_winning_in_any_state_a_known_mail_is_sent_again",
        world(Faults { sender_losses: 1, ..NO_FAULTS }, Guards { sent_wins: false, ..REAL }),
        NOTHING_DEAD_IS_SENT,
    );
}

#[test]
fn without_not_exists_one_mail_has_two_sent_rows() {
    without(
        "without_not_exists_one_mail_has_two_sent_rows",
        world(Faults { sender_losses: 1, ..NO_FAULTS }, Guards { sent_once: false, ..REAL }),
        A_SENT_ROW_IS_A_MAIL,
    );
}

#[test]
fn without_the_holder_settle_again_frees_a_row_in_another_call() {
    without(
        "without_the_holder_settle_again_frees_a_row_in_another_call",
        Bounds {
            faults: Faults { stops: 1, sender_losses: 1, deferrals: 1, ..NO_FAULTS },
            guards: Guards { settle_rest_is_ours: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_committing_the_claim_first_a_line_finds_no_row() {
    let bounds = Bounds {
        faults: Faults { collector_losses: 1, collector_crashes: 1, ..NO_FAULTS },
        guards: Guards { claim_commits_first: false, ..REAL },
        ..NO_LOST_RULE
    };
    // Begin waits for the claim's commit, and takes a row whose claim was rolled back as it is.
    let name = "without_committing_the_claim_first, but begin waits";
    holds(name, &Delivery { bounds: bounds.clone() });
    without(
        "without_committing_the_claim_first_a_line_finds_no_row",
        Bounds { guards: Guards { begin_waits: false, ..bounds.guards }, ..bounds },
        IT_RECOVERS,
    );
}

#[test]
fn without_waiting_begin_drops_a_line_that_meets_a_take_over() {
    without(
        "without_waiting_begin_drops_a_line_that_meets_a_take_over",
        Bounds {
            slow_take_over: true,
            faults: Faults { collector_losses: 1, ..NO_FAULTS },
            guards: Guards { begin_waits: false, ..REAL },
            ..NO_LOST_RULE
        },
        IT_RECOVERS,
    );
}

#[test]
fn without_the_numbers_of_the_gone_a_sweep_robs_a_living_sender() {
    without(
        "without_the_numbers_of_the_gone_a_sweep_robs_a_living_sender",
        Bounds {
            collectors: 2,
            senders_start_away: true,
            slow_sweep: true,
            faults: Faults { collector_crashes: 1, ..NO_FAULTS },
            guards: Guards { by_the_gone: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_grace_a_lost_connection_duplicates() {
    without(
        "without_grace_a_lost_connection_duplicates",
        Bounds {
            faults: Faults { sender_losses: 1, ..NO_FAULTS },
            guards: Guards { grace: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_the_fence_one_mail_has_two_sent_rows() {
    without(
        "without_the_fence_one_mail_has_two_sent_rows",
        world(Faults { sender_losses: 1, ..NO_FAULTS }, Guards { fence: false, ..REAL }),
        A_SENT_ROW_IS_A_MAIL,
    );
}

#[test]
fn without_settling_before_relabelling_a_sent_mail_goes_back() {
    let faults = Faults { sender_losses: 1, deferrals: 1, ..NO_FAULTS };
    // What has a result counts as in a call until it is recorded, so either guard is enough.
    let late = Guards { settle_first: false, ..REAL };
    holds(
        "without_settling_first, but in call until recorded",
        &Delivery { bounds: world(faults, late) },
    );
    let short = Guards { in_call_until_recorded: false, ..REAL };
    holds(
        "without in call until recorded, but settling first",
        &Delivery { bounds: world(faults, short) },
    );
    without(
        "without_settling_before_relabelling_a_sent_mail_goes_back",
        Bounds { faults, guards: Guards { in_call_until_recorded: false, ..late }, ..LOG },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_the_old_number_a_relabel_takes_anothers_row() {
    without(
        "without_the_old_number_a_relabel_takes_anothers_row",
        Bounds {
            faults: Faults { stops: 1, sender_losses: 1, deferrals: 1, ..NO_FAULTS },
            guards: Guards { relabel_by_number: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_freshness_a_stopped_sender_calls_too_late() {
    without(
        "without_freshness_a_stopped_sender_calls_too_late",
        Bounds {
            faults: Faults { stops: 1, sender_losses: 1, ..NO_FAULTS },
            guards: Guards { freshness: false, ..REAL },
            ..LOG
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_a_living_session_a_call_starts_on_rows_that_went_back() {
    without(
        "without_a_living_session_a_call_starts_on_rows_that_went_back",
        Bounds {
            concurrency: 2,
            ..world(
                Faults { sender_losses: 1, ..NO_FAULTS },
                Guards { session_lives: false, ..REAL },
            )
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_the_time_of_the_last_claim_an_unanswered_one_stays_dispatched() {
    without(
        "without_the_time_of_the_last_claim_an_unanswered_one_stays_dispatched",
        Bounds {
            faults: Faults { collector_losses: 1, ..NO_FAULTS },
            guards: Guards { unanswered_go_back: false, ..REAL },
            ..NO_LOST_RULE
        },
        IT_RECOVERS,
    );
}

#[test]
fn without_waiting_for_the_line_a_claim_counts_as_written() {
    without(
        "without_waiting_for_the_line_a_claim_counts_as_written",
        Bounds {
            rejects: true,
            faults: Faults { collector_losses: 1, ..NO_FAULTS },
            guards: Guards { claimed_at_with_line: false, ..REAL },
            ..NO_LOST_RULE
        },
        IT_RECOVERS,
    );
}

#[test]
fn without_knowing_its_calls_a_sender_settles_the_wrong_attempt() {
    without(
        "without_knowing_its_calls_a_sender_settles_the_wrong_attempt",
        Bounds {
            concurrency: 2,
            ..world(
                Faults { stops: 1, sender_losses: 1, deferrals: 1, ..NO_FAULTS },
                Guards { in_call_not_begun: false, ..REAL },
            )
        },
        DUPLICATES_ARE_COUNTABLE,
    );
}

#[test]
fn without_the_60_seconds_a_dropped_line_is_never_sent() {
    let bounds = world(Faults { drops: 1, ..NO_FAULTS }, REAL);
    holds("with the 60 seconds", &Delivery { bounds: bounds.clone() });
    breaks(
        "without_the_60_seconds_a_dropped_line_is_never_sent",
        Delivery { bounds: Bounds { lost_rule: false, ..bounds } },
        IT_RECOVERS,
    );
}

#[test]
fn without_a_durable_sweep_a_crash_forgets_why_a_mail_went_out_twice() {
    let faults = Faults { sender_crashes: 1, database_crashes: 1, ..NO_FAULTS };
    let guards = Guards { ambiguous_is_durable: false, ..REAL };
    without(
        "without_a_durable_sweep_a_crash_forgets_why_a_mail_went_out_twice",
        Bounds { faults, guards, ..LOG },
        A_REPEAT_IS_RECORDED_FIRST,
    );
}
