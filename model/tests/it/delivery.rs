//! The delivery protocol with all its guards.

use model::delivery::{Bounds, Delivery, Faults};

use crate::holds;

fn explore(name: &str, bounds: Bounds) {
    holds(name, &Delivery { bounds });
}

const NO_FAULTS: Faults = Faults::NONE;

/// Two senders that read one log: any line may reach any of them.
const LOG: Bounds = Bounds { senders: 2, shared_log: true, ..Bounds::SMALL };
const TWO_PIPELINES: Bounds = Bounds { collectors: 2, senders: 2, ..Bounds::SMALL };

#[test]
fn one_pipeline_loses_its_connections() {
    explore(
        "one_pipeline_loses_its_connections",
        Bounds {
            faults: Faults {
                collector_losses: 1,
                sender_losses: 1,
                lost_answers: 1,
                deferrals: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

#[test]
fn one_pipeline_crashes() {
    explore(
        "one_pipeline_crashes",
        Bounds {
            faults: Faults {
                collector_crashes: 1,
                sender_crashes: 2,
                lost_answers: 1,
                rejections: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

#[test]
fn the_sender_crashes_and_loses_its_connection() {
    explore(
        "the_sender_crashes_and_loses_its_connection",
        Bounds {
            faults: Faults {
                sender_crashes: 1,
                sender_losses: 1,
                collector_crashes: 1,
                lost_answers: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

#[test]
fn nothing_but_a_lost_line_needs_the_60_seconds() {
    explore(
        "nothing_but_a_lost_line_needs_the_60_seconds",
        Bounds {
            lost_rule: false,
            slow_take_over: true,
            rejects: true,
            faults: Faults {
                collector_losses: 2,
                sender_losses: 1,
                sender_crashes: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

#[test]
fn two_pipelines_and_a_repeated_line() {
    explore(
        "two_pipelines_and_a_repeated_line",
        Bounds {
            faults: Faults { repeats: 1, sender_losses: 1, deferrals: 1, ..NO_FAULTS },
            ..TWO_PIPELINES
        },
    );
}

#[test]
fn two_pipelines_crash() {
    explore(
        "two_pipelines_crash",
        Bounds {
            slow_sweep: true,
            faults: Faults { collector_crashes: 1, sender_crashes: 1, ..NO_FAULTS },
            ..TWO_PIPELINES
        },
    );
}

#[test]
fn a_log_that_repeats_drops_and_delays() {
    explore(
        "a_log_that_repeats_drops_and_delays",
        Bounds {
            faults: Faults {
                repeats: 1,
                drops: 1,
                slow_lines: 1,
                lost_answers: 1,
                sender_crashes: 1,
                ..NO_FAULTS
            },
            ..LOG
        },
    );
}

#[test]
fn the_application_uses_expires_and_moves() {
    explore(
        "the_application_uses_expires_and_moves",
        Bounds {
            faults: Faults {
                repeats: 1,
                deferrals: 1,
                consumed: 1,
                expired: 1,
                readdressed: 1,
                sender_crashes: 1,
                ..NO_FAULTS
            },
            ..LOG
        },
    );
}

#[test]
fn a_sender_is_stopped_and_loses_its_connection() {
    explore(
        "a_sender_is_stopped_and_loses_its_connection",
        Bounds { faults: Faults { stops: 1, sender_losses: 1, deferrals: 1, ..NO_FAULTS }, ..LOG },
    );
}

#[test]
fn one_sender_has_the_token_in_two_calls() {
    explore(
        "one_sender_has_the_token_in_two_calls",
        Bounds {
            concurrency: 2,
            faults: Faults {
                stops: 1,
                sender_losses: 1,
                deferrals: 2,
                lost_answers: 1,
                repeats: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

#[test]
fn the_database_crashes() {
    explore(
        "the_database_crashes",
        Bounds {
            concurrency: 2,
            faults: Faults {
                database_crashes: 1,
                deferrals: 1,
                lost_answers: 1,
                repeats: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

/// What it forgets may be a relabelling, a release or a sweep.
#[test]
fn the_database_crashes_after_something_else() {
    for faults in [
        Faults { collector_losses: 1, repeats: 1, ..NO_FAULTS },
        Faults { collector_crashes: 1, repeats: 1, ..NO_FAULTS },
        Faults { sender_losses: 1, repeats: 1, ..NO_FAULTS },
        Faults { sender_crashes: 1, repeats: 1, ..NO_FAULTS },
    ] {
        let faults = Faults { database_crashes: 1, ..faults };
        let name = "the_database_crashes_after_something_else";
        explore(name, Bounds { concurrency: 2, faults, ..Bounds::SMALL });
    }
}

#[test]
fn two_tokens() {
    explore(
        "two_tokens",
        Bounds {
            tokens: 2,
            faults: Faults { sender_losses: 1, collector_losses: 1, ..NO_FAULTS },
            ..Bounds::SMALL
        },
    );
}

/// Minutes in a release build: `cargo test --release -p mailroom-model -- --ignored --nocapture`.
#[test]
#[ignore = "minutes, and gigabytes"]
fn deep_one_pipeline_and_everything() {
    explore(
        "deep_one_pipeline_and_everything",
        Bounds {
            faults: Faults {
                collector_crashes: 1,
                sender_crashes: 1,
                collector_losses: 1,
                sender_losses: 1,
                stops: 1,
                repeats: 1,
                lost_answers: 1,
                ..NO_FAULTS
            },
            ..Bounds::SMALL
        },
    );
}

/// See [`deep_one_pipeline_and_everything`].
#[test]
#[ignore = "minutes, and gigabytes"]
fn deep_two_pipelines() {
    explore(
        "deep_two_pipelines",
        Bounds {
            faults: Faults {
                repeats: 1,
                sender_losses: 1,
                collector_crashes: 1,
                deferrals: 1,
                ..NO_FAULTS
            },
            ..TWO_PIPELINES
        },
    );
}

/// See [`deep_one_pipeline_and_everything`].
#[test]
#[ignore = "minutes, and gigabytes"]
fn deep_database() {
    explore(
        "deep_database",
        Bounds {
            collectors: 2,
            faults: Faults { database_crashes: 1, repeats: 1, ..NO_FAULTS },
            ..LOG
        },
    );
}

/// See [`deep_one_pipeline_and_everything`].
#[test]
#[ignore = "minutes, and gigabytes"]
fn deep_log() {
    explore(
        "deep_log",
        Bounds {
            lost_rule: false,
            faults: Faults {
                repeats: 1,
                stops: 1,
                sender_losses: 1,
                collector_losses: 1,
                deferrals: 1,
                ..NO_FAULTS
            },
            ..LOG
        },
    );
}
