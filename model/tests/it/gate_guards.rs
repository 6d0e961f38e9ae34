//! Each guard of the gate, taken away.

use model::gate::{Chances, Gate, Guards, NOBODY_OVERSLEEPS, Order};

use crate::breaks;
use crate::gate::TWO;

const REAL: Guards = Guards::REAL;

/// One row, one collector.
const ONE: Gate = Gate { rows: 1, collectors: 1, ..TWO };

#[track_caller]
fn without(name: &str, gate: Gate) {
    breaks(name, gate, NOBODY_OVERSLEEPS);
}

#[test]
fn without_arming_before_looking_a_commit_in_between_is_missed() {
    let guards = Guards { order: Order::LookThenArm, ..REAL };
    let name = "without_arming_before_looking_a_commit_in_between_is_missed";
    without(name, Gate { guards, ..ONE });
}

#[test]
fn without_a_statement_of_its_own_the_look_sees_what_was_before() {
    let guards = Guards { order: Order::OneStatement, ..REAL };
    let name = "without_a_statement_of_its_own_the_look_sees_what_was_before";
    without(name, Gate { guards, ..ONE });
}

#[test]
fn without_silent_writers_in_the_way_arming_misses_an_open_one() {
    let guards = Guards { silence_blocks: false, ..REAL };
    without("without_silent_writers_in_the_way_arming_misses_an_open_one", Gate { guards, ..ONE });
}

#[test]
fn without_seeing_locked_rows_a_look_misses_a_claim_that_dies() {
    let guards = Guards { look_ignores_locks: false, ..REAL };
    let chances = Chances { crashes: 1, ..TWO.chances };
    let name = "without_seeing_locked_rows_a_look_misses_a_claim_that_dies";
    without(name, Gate { rows: 1, chances, guards, ..TWO });
}

#[test]
fn without_the_gate_an_insert_wakes_nobody() {
    let guards = Guards { insert_asks: false, ..REAL };
    without("without_the_gate_an_insert_wakes_nobody", Gate { guards, ..ONE });
}

#[test]
fn without_the_gate_a_settle_again_wakes_nobody() {
    let guards = Guards { again_asks: false, ..REAL };
    let chances = Chances { deferrals: 1, ..TWO.chances };
    without("without_the_gate_a_settle_again_wakes_nobody", Gate { chances, guards, ..ONE });
}

#[test]
fn without_the_gate_a_release_wakes_nobody() {
    let guards = Guards { release_asks: false, ..REAL };
    let chances = Chances { crashes: 2, restarts: 1, ..TWO.chances };
    let name = "without_the_gate_a_release_wakes_nobody";
    without(name, Gate { rows: 1, chances, guards, ..TWO });
}

#[test]
fn without_asking_anew_a_savepoint_keeps_an_answer_that_is_no_longer_true() {
    let guards = Guards { asks_anew: false, ..REAL };
    let chances = Chances { savepoints: 1, ..TWO.chances };
    let name = "without_asking_anew_a_savepoint_keeps_an_answer_that_is_no_longer_true";
    without(name, Gate { chances, guards, ..ONE });
}

#[test]
fn without_polling_whoever_cannot_arm_sleeps_all_the_same() {
    let guards = Guards { polls: false, ..REAL };
    without("without_polling_whoever_cannot_arm_sleeps_all_the_same", Gate { guards, ..ONE });
}

#[test]
fn without_an_alarm_a_deferred_row_falls_due_unheard() {
    let guards = Guards { alarm: false, ..REAL };
    let chances = Chances { deferrals: 1, ..TWO.chances };
    without("without_an_alarm_a_deferred_row_falls_due_unheard", Gate { chances, guards, ..ONE });
}
