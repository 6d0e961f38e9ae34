//! The metrics, in Prometheus's text format. Pure: a look in, text out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::look::{Account, Outstanding, Total};
use super::readiness::Readiness;
use super::watcher::Seen;

/// What the text is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const SENT: &str = "sent";

/// The text for what was seen with this limit. What could not be read is left out, and `mailroom_up`
/// is 0.
///
/// # Errors
/// When the encoder finds fault with a family.
pub fn text(seen: &Seen, ready_age: Duration) -> Result<String, prometheus::Error> {
    let mut families = vec![
        gauges(
            "mailroom_build_info",
            "The version of mailroom serve.",
            [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)],
        ),
        gauges(
            "mailroom_up",
            "1 if everything could be read from the database, else 0.",
            [(vec![], f64::from(u8::from(seen.is_whole())))],
        ),
        counters(
            "mailroom_scrape_errors_total",
            "How often something could not be read from the database, since the start of serve.",
            [(vec![], seen.errors as f64)],
        ),
        gauges(
            "mailroom_scrape_duration_seconds",
            "How long it took to read all this from the database.",
            [(vec![], seen.took.as_secs_f64())],
        ),
    ];
    let promises = seen.promises.as_ref();
    let outstanding = promises.map_or(&[][..], |promises| &promises.parts);
    families.push(gauges(
        "mailroom_ready",
        "1 if mail flows, as /ready has it, else 0.",
        promises.map(|promises| {
            (vec![], f64::from(u8::from(Readiness::of(promises, ready_age).is_ready())))
        }),
    ));
    families.extend(promised(outstanding));
    if let Some(account) = &seen.account {
        families.extend(happened(outstanding, account));
    }
    families.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_to_string(&families)
}

fn promised(outstanding: &[Outstanding]) -> [MetricFamily; 3] {
    let mut actions: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for part in outstanding {
        let (overdue, oldest) = actions.entry(&part.action).or_default();
        *overdue += part.overdue;
        *oldest = oldest.max(part.oldest_seconds);
    }
    [
        gauges(
            "mailroom_deliveries",
            "Mails that are promised and not settled.",
            outstanding.iter().map(|part| {
                let labels = vec![("action", &*part.action), ("state", &*part.state)];
                (labels, part.deliveries as f64)
            }),
        ),
        gauges(
            "mailroom_oldest_delivery_age_seconds",
            "How long ago the oldest of these mails was promised, however often it was tried; 0 if there is none.",
            actions.iter().map(|(action, (_, oldest))| (vec![("action", *action)], *oldest)),
        ),
        gauges(
            "mailroom_overdue_deliveries",
            "Those of these mails that could have been handed over for longer than MAILROOM_READY_AGE.",
            actions
                .iter()
                .map(|(action, (overdue, _))| (vec![("action", *action)], *overdue as f64)),
        ),
    ]
}

fn happened(outstanding: &[Outstanding], account: &Account) -> [MetricFamily; 4] {
    let totals = &account.totals;
    let actions: BTreeSet<&str> = outstanding
        .iter()
        .map(|part| &*part.action)
        .chain(totals.iter().map(|total| &*total.action))
        .collect();
    // Every action with every outcome, from the start: a rate needs something to rise from.
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for action in &actions {
        counts.extend(account.outcomes.iter().map(|outcome| ((*action, &**outcome), 0)));
    }
    for total in totals {
        *counts.entry((&total.action, &total.outcome)).or_default() += total.count;
    }
    let latencies = actions.iter().map(|action| {
        let sent = totals.iter().filter(|t| t.outcome == SENT && t.action == *action);
        let mut metric = labelled(vec![("action", *action)]);
        metric.set_histogram(histogram(&account.bounds, sent));
        metric
    });
    [
        counters(
            "mailroom_outcomes_total",
            "What became of attempts to deliver: of a mail, sent, skipped, failed and unconfirmed are the end.",
            counts.into_iter().map(|((action, outcome), count)| {
                (vec![("action", action), ("outcome", outcome)], count as f64)
            }),
        ),
        family(
            "mailroom_delivery_seconds",
            "From the promise of a mail, in the application's transaction, until the provider had accepted it.",
            MetricType::HISTOGRAM,
            latencies.collect(),
        ),
        gauges(
            "mailroom_holders",
            "Collectors and senders that are connected.",
            account.holders.iter().map(|(kind, alive)| (vec![("kind", &**kind)], *alive as f64)),
        ),
        gauges(
            "mailroom_schema_version",
            "The version of the schema, if a migrator has recorded it.",
            account.schema_version.map(|version| (vec![], version as f64)),
        ),
    ]
}

/// Buckets are cumulative here; the last one, for what took longer than the last bound, is the count.
fn histogram<'a>(bounds: &[f64], sent: impl Iterator<Item = &'a Total>) -> Histogram {
    let mut buckets = vec![0; bounds.len()];
    let (mut count, mut seconds) = (0, 0.0);
    for total in sent {
        count += total.count;
        seconds += total.seconds;
        if let Some(bucket) = buckets.get_mut(total.bucket) {
            *bucket += total.count;
        }
    }
    let cumulative = buckets.iter().scan(0, |so_far, bucket| {
        *so_far += bucket;
        Some(*so_far)
    });
    let buckets = bounds.iter().zip(cumulative).map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(seconds);
    histogram
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn gauges<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> MetricFamily {
    let metrics = values.into_iter().map(|(labels, value)| {
        let (mut metric, mut gauge) = (labelled(labels), Gauge::default());
        gauge.set_value(value);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

fn counters<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> MetricFamily {
    let metrics = values.into_iter().map(|(labels, value)| {
        let (mut metric, mut counter) = (labelled(labels), Counter::default());
        counter.set_value(value);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pairs = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}
