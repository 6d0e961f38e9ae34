//! The real protocol keeps its promises; without a guard it does not.
#![expect(clippy::print_stdout, reason = "a test of the model says how much it explored")]

mod delivery;
mod delivery_guards;
mod found;
mod gate;
mod gate_guards;

use std::fmt::Debug;
use std::hash::Hash;

use model::Recoverable;
use model::explore::{IT_RECOVERS, everything, invariants};

/// Every reachable state keeps every promise, and everything settles from each of them.
#[track_caller]
fn holds<M>(name: &str, model: &M)
where
    M: Recoverable,
    M::State: Hash,
    M::Action: Debug + Clone,
{
    let report = everything(model);
    println!("{name}: {} states, {} steps deep", report.states, report.depth);
    assert!(report.broken.is_none(), "{name}: {:#?}", report.broken);
}

/// There is a way to break this promise.
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
#[track_caller]
fn breaks<M>(name: &str, model: M, promise: &str)
where
    M: Recoverable + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq,
{
    let report = if promise == IT_RECOVERS { everything(&model) } else { invariants(model) };
    let broken = report.broken.expect("the guard is not needed");
    println!(
        "{name}: broken after {} steps, {} states: {}\n    {}",
        broken.steps.len(),
        report.states,
        broken.promise,
        broken.steps.join(", ")
    );
    assert_eq!(broken.promise, promise);
}
