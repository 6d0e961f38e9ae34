//! What the model found in the protocol before the code was mended: the guards it led to.

use model::delivery::{A_SENT_ROW_IS_A_MAIL, Bounds, Delivery, Faults, Guards};
use model::explore::{IT_RECOVERS, everything, invariants};
use model::gate::{self, Chances, Gate};

use crate::gate::TWO;
use crate::{breaks, holds};

/// A session that is lost before it is ready has acted too. Not fenced, a `settle_sent` of it that
/// still runs and the one that repeats it do not see each other: two `sent` rows, one mail.
#[test]
fn without_fencing_every_former_session_one_mail_has_two_sent_rows() {
    let guards = Guards { all_formers: false, ..Guards::REAL };
    let faults = Faults { sender_losses: 2, ..Faults::NONE };
    let bounds = Bounds { faults, guards, ..Bounds::SMALL };
    breaks(
        "without_fencing_every_former_session_one_mail_has_two_sent_rows",
        Delivery { bounds: bounds.clone() },
        A_SENT_ROW_IS_A_MAIL,
    );
    let faults = Faults { deferrals: 1, collector_losses: 1, ..bounds.faults };
    let bounds = Bounds { guards: Guards::REAL, faults, ..bounds };
    holds("fencing all former sessions", &Delivery { bounds });
}

/// A collector that sleeps and held nothing would not sweep, so the rows of one that died for good
/// would wait for its health check.
#[test]
fn without_sweeps_after_news_the_rows_of_a_dead_collector_wait_for_the_health_check() {
    let chances = Chances { crashes: 1, ..TWO.chances };
    let gate = Gate { rows: 1, chances, ..TWO };
    let name = "without_sweeps_after_news_the_rows_of_a_dead_collector_wait_for_the_health_check";
    let guards = gate::Guards { look_starts_sweeps: false, ..gate::Guards::REAL };
    breaks(name, Gate { guards, ..gate }, IT_RECOVERS);
    holds("looks that start sweeps", &gate);
}

/// Two ways to explore, one world.
#[test]
fn both_explorers_see_the_same_states() {
    assert_eq!(everything(&TWO).states, invariants(TWO).states);
}
