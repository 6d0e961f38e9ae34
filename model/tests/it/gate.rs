//! The gate with all its guards.

use model::gate::{Chances, Gate, Guards};

use crate::holds;

const CALM: Chances =
    Chances { rollbacks: 0, savepoints: 0, deferrals: 0, crashes: 0, restarts: 0 };

/// Two rows, two collectors. No health check: nothing may have to wait for it.
pub(crate) const TWO: Gate = Gate {
    rows: 2,
    collectors: 2,
    chances: CALM,
    supervised: false,
    health_check: false,
    guards: Guards::REAL,
};

#[test]
fn two_writers_and_two_collectors() {
    holds("two_writers_and_two_collectors", &TWO);
}

#[test]
fn writers_roll_back_and_mails_are_deferred() {
    let chances = Chances { rollbacks: 1, savepoints: 1, deferrals: 1, ..CALM };
    holds("writers_roll_back_and_mails_are_deferred", &Gate { chances, collectors: 1, ..TWO });
    holds(
        "writers_roll_back_and_mails_are_deferred, two collectors",
        &Gate { rows: 1, chances: Chances { deferrals: 2, ..chances }, ..TWO },
    );
}

#[test]
fn collectors_crash_and_are_restarted() {
    let chances = Chances { crashes: 2, deferrals: 1, savepoints: 1, ..CALM };
    let supervised = Gate { rows: 1, chances, supervised: true, ..TWO };
    holds("collectors_crash_and_are_restarted", &supervised);
}

#[test]
fn one_collector_dies_for_good_and_the_other_finds_its_rows() {
    let chances = Chances { crashes: 1, deferrals: 1, ..CALM };
    let alone = Gate { rows: 1, chances, health_check: true, ..TWO };
    holds("one_collector_dies_for_good_and_the_other_finds_its_rows", &alone);
}

/// Minutes in a release build.
#[test]
#[ignore = "minutes, and gigabytes"]
fn deep_two_rows_and_crashes() {
    let chances = Chances { rollbacks: 1, savepoints: 1, deferrals: 1, crashes: 1, restarts: 0 };
    holds("deep_two_rows_and_crashes", &Gate { chances, supervised: true, ..TWO });
}
