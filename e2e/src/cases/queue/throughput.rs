//! Measures the throughput and latency of queues, with one node and with three.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::{
    super::Harness,
    broker_endpoints::BrokerEndpoints,
    message_log::{percentiles, rate},
    traffic::Traffic,
};
use crate::{cluster::Cluster, process_usage::MeasuredProcess, report::ReportRow};

/// The number of measurements of each profile, in turns with the others.
const ROUNDS: usize = 3;
/// The time before each measurement.
const WARM_UP: Duration = Duration::from_secs(2);
/// The duration of each measurement.
const MEASUREMENT: Duration = Duration::from_secs(10);

/// The node to which a queue's publisher and consumer connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectTo {
    /// The leader of the queue.
    Leader,
    /// Another node.
    Follower,
}

/// The traffic of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficProfile {
    /// The number of queues.
    pub queues: usize,
    /// The number of unconfirmed messages per queue at any time.
    pub concurrency: usize,
    pub connect_to: ConnectTo,
}

/// Measures the latency of single messages.
pub const LATENCY: TrafficProfile = TrafficProfile {
    queues: 1,
    concurrency: 1,
    connect_to: ConnectTo::Leader,
};
/// Measures the throughput of one queue, with irmgard's maximum of concurrent messages.
pub const ONE_QUEUE: TrafficProfile = TrafficProfile {
    queues: 1,
    concurrency: 64,
    connect_to: ConnectTo::Leader,
};
/// Measures the throughput of several queues, each with its own connections.
pub const MANY_QUEUES: TrafficProfile = TrafficProfile {
    queues: 6,
    concurrency: 32,
    connect_to: ConnectTo::Leader,
};

impl TrafficProfile {
    /// The same profile with connections to followers.
    pub const fn through_follower(self) -> Self {
        Self {
            connect_to: ConnectTo::Follower,
            ..self
        }
    }
}

impl fmt::Display for TrafficProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.queues {
            1 => write!(f, "1 queue, {}", self.concurrency),
            queues => write!(f, "{queues} queues, {} each", self.concurrency),
        }
    }
}

/// The results of one measurement, or the medians of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measurement {
    /// Confirmed messages per second.
    pub confirmed: f64,
    /// Delivered messages per second.
    pub delivered: f64,
    /// Confirm latency: p50, p95, p99.
    pub confirm_latency: [Duration; 3],
    /// Delivery latency: p50, p95, p99.
    pub delivery_latency: [Duration; 3],
    /// CPU cores used by all pods of the broker.
    pub broker_cores: f64,
    /// CPU cores used by this program.
    pub program_cores: f64,
}

impl Measurement {
    /// Whether messages are published faster than delivered.
    fn queue_grows(&self) -> bool {
        self.delivered < self.confirmed * 0.95
    }

    /// The broker's CPU seconds per message, from the publication to the acknowledgement.
    pub fn cpu_seconds_per_message(&self) -> Option<f64> {
        let messages = f64::midpoint(self.confirmed, self.delivered);
        (messages > 0.0).then(|| self.broker_cores / messages)
    }
}

/// Measures profiles in turns. Returns the median of each, in the order of the profiles.
pub async fn measure(
    harness: &mut Harness,
    broker: &BrokerEndpoints,
    profiles: &[TrafficProfile],
) -> Result<Vec<Measurement>> {
    let mut rounds: Vec<Vec<Measurement>> = vec![Vec::new(); profiles.len()];
    for round in 1..=ROUNDS {
        for (profile, measured) in profiles.iter().zip(&mut rounds) {
            let measurement = measure_once(harness, broker, *profile).await?;
            harness.step(format_args!(
                "{} of {ROUNDS}, {} node(s), {profile}, {:?}: {:.0} confirmed, {:.0} delivered per second",
                round,
                broker.nodes(),
                profile.connect_to,
                measurement.confirmed,
                measurement.delivered
            ));
            measured.push(measurement);
        }
    }
    for (profile, measured) in profiles.iter().zip(&rounds) {
        harness
            .report
            .row("throughput", row(broker.nodes(), *profile, measured));
    }
    Ok(rounds.iter().map(|measured| median(measured)).collect())
}

async fn measure_once(
    harness: &Harness,
    broker: &BrokerEndpoints,
    profile: TrafficProfile,
) -> Result<Measurement> {
    let routes = broker.routes(profile.queues, profile.connect_to);
    let traffic = Traffic::start(&routes, profile.concurrency, Duration::ZERO).await?;
    sleep(WARM_UP).await;
    let (cluster, nodes) = (&harness.cluster, broker.nodes());
    let this_process = MeasuredProcess(std::process::id());
    let (broker, programs, read_at) = (
        broker_cpu_seconds(cluster, nodes).await?,
        this_process.cpu_seconds()?,
        Instant::now(),
    );
    let from = traffic.now();
    sleep(MEASUREMENT).await;
    let to = traffic.now();
    let duration = read_at.elapsed().as_secs_f64();
    let programs = this_process.cpu_seconds()? - programs;
    let broker = broker_cpu_seconds(cluster, nodes).await? - broker;
    let broker_duration = read_at.elapsed().as_secs_f64();
    let messages = traffic.stop().await;
    Ok(Measurement {
        confirmed: rate(messages.confirms(), from, to),
        delivered: rate(messages.deliveries(), from, to),
        confirm_latency: percentiles(&messages.confirm_latencies(from, to)),
        delivery_latency: percentiles(&messages.delivery_latencies(from, to)),
        broker_cores: broker / broker_duration,
        program_cores: programs / duration,
    })
}

/// The CPU seconds used by all pods of the broker so far.
async fn broker_cpu_seconds(cluster: &Cluster, nodes: usize) -> Result<f64> {
    let used = try_join_all((0..nodes).map(async |pod| {
        // cgroup v1 has nanoseconds, v2 microseconds.
        let script =
            "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || grep usage_usec /sys/fs/cgroup/cpu.stat";
        let pod = format!("rabbitmq-{pod}");
        let words = ["sh", "-c", script];
        parse_cpu_usage(&cluster.exec(&pod, "rabbitmq", &words, None).await?)
    }));
    Ok(used.await?.iter().sum())
}

fn parse_cpu_usage(text: &str) -> Result<f64> {
    let text = text.trim();
    let (number, unit) = match text.strip_prefix("usage_usec ") {
        Some(number) => (number, 1e6),
        None => (text, 1e9),
    };
    let number: f64 = number
        .parse()
        .with_context(|| format!("cannot parse a pod's CPU usage: {text}"))?;
    Ok(number / unit)
}

fn row(nodes: usize, profile: TrafficProfile, rounds: &[Measurement]) -> ReportRow {
    let medians = median(rounds);
    let with_range = |value: fn(&Measurement) -> f64| {
        let mut sorted: Vec<_> = rounds.iter().map(value).collect();
        sorted.sort_by(f64::total_cmp);
        match (sorted.first(), sorted.last()) {
            (Some(min), Some(max)) => {
                format!("{:.0} ({min:.0} to {max:.0})", middle_value(sorted.clone()))
            }
            _ => "–".to_owned(),
        }
    };
    let connected_to = match profile.connect_to {
        ConnectTo::Leader => "the leader",
        ConnectTo::Follower => "another",
    };
    // In a growing queue, the delivery latency only shows how long it has grown.
    let delivery_latency = if medians.queue_grows() {
        "the queue grows".to_owned()
    } else {
        medians.delivery_latency.map(millis).join(" / ")
    };
    vec![
        ("nodes", nodes.to_string()),
        ("queues, concurrent messages", profile.to_string()),
        ("connected to", connected_to.to_owned()),
        ("confirmed/s", with_range(|round| round.confirmed)),
        ("delivered/s", with_range(|round| round.delivered)),
        (
            "until confirmed p50 / p95 / p99",
            medians.confirm_latency.map(millis).join(" / "),
        ),
        ("until delivered p50 / p95 / p99", delivery_latency),
        ("cores: broker", format!("{:.2}", medians.broker_cores)),
        (
            "cores: publishers and consumers",
            format!("{:.2}", medians.program_cores),
        ),
    ]
}

/// The median of each value.
fn median(rounds: &[Measurement]) -> Measurement {
    let median_of = |value: &dyn Fn(&Measurement) -> f64| middle_value(rounds.iter().map(value).collect());
    let median_time = |value: &dyn Fn(&Measurement) -> Duration| {
        Duration::from_secs_f64(median_of(&|round| value(round).as_secs_f64()))
    };
    Measurement {
        confirmed: median_of(&|round| round.confirmed),
        delivered: median_of(&|round| round.delivered),
        confirm_latency: [0, 1, 2].map(|index| median_time(&|round| round.confirm_latency[index])),
        delivery_latency: [0, 1, 2].map(|index| median_time(&|round| round.delivery_latency[index])),
        broker_cores: median_of(&|round| round.broker_cores),
        program_cores: median_of(&|round| round.program_cores),
    }
}

fn middle_value(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds in the format of the report.
pub fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1_000.0;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{millis:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_computed_for_each_value() {
        let round = |confirmed, ms| Measurement {
            confirmed,
            delivered: confirmed,
            broker_cores: 0.5,
            confirm_latency: [Duration::from_millis(ms); 3],
            ..Measurement::default()
        };
        let rounds = [round(300.0, 1), round(100.0, 3), round(200.0, 9)];
        let medians = median(&rounds);
        assert!((medians.confirmed - 200.0).abs() < 1e-9);
        assert_eq!(medians.confirm_latency[0], Duration::from_millis(3));
        let row = row(3, MANY_QUEUES.through_follower(), &rounds);
        let row: Vec<_> = row.into_iter().map(|(_, cell)| cell).collect();
        assert_eq!(
            row[..4],
            ["3", "6 queues, 32 each", "another", "200 (100 to 300)"]
        );
        assert_eq!(row[5], "3.0 ms / 3.0 ms / 3.0 ms");
        assert!((medians.cpu_seconds_per_message().unwrap() - 0.002_5).abs() < 1e-9);
        assert!(!medians.queue_grows());
        let slower = Measurement {
            delivered: 100.0,
            ..medians
        };
        assert!(slower.queue_grows());
        assert_eq!(Measurement::default().cpu_seconds_per_message(), None);
    }

    #[test]
    fn both_versions_of_cgroups_are_parsed() {
        assert!((parse_cpu_usage("4588147418\n").unwrap() - 4.588_147_418).abs() < 1e-9);
        assert!((parse_cpu_usage("usage_usec 2500000\n").unwrap() - 2.5).abs() < 1e-9);
        let error = parse_cpu_usage("").unwrap_err().to_string();
        assert!(error.contains("CPU usage"), "{error}");
    }
}
