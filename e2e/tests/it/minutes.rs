//! What takes a minute because a minute is the promise, or is what somebody waits for: all of it at
//! once. The scenarios are where their subjects are.

use crate::faults::together;
use crate::{blackhole, outage, pipe, provider, throttling};

#[test]
fn what_lasts_a_minute_loses_and_repeats_nothing_and_is_over_when_it_is_over() {
    together(&[
        ("a minute without PostgreSQL", outage::a_minute_without_postgresql),
        ("a server that is frozen", outage::a_frozen_server),
        ("a network without packets", blackhole::a_network_without_packets),
        ("a collector's connection that nobody answers", blackhole::an_abandoned_collector),
        ("a sender's connection that nobody answers", blackhole::an_abandoned_sender),
        ("a sender stopped for longer than any time-out", pipe::a_stopped_sender),
        ("a collector stopped for longer than any time-out", pipe::a_stopped_collector),
        ("a daily quota", throttling::a_daily_quota),
        ("every answer, silence included", provider::every_answer),
    ]);
}
