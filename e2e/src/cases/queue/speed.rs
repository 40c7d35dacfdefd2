//! How fast a queue is, with one node and with three.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::{
    super::{Stage, rabbitmq::inside},
    doors::Doors,
    notes::{percentiles, rate},
    traffic::Traffic,
};
use crate::{cluster::Cluster, report::Table, usage::Pid};

/// How often each setting is measured, in turns with the others.
const ROUNDS: usize = 3;
/// Before anything is counted.
const WARM: Duration = Duration::from_secs(2);
/// How long is counted.
const COUNTED: Duration = Duration::from_secs(10);

/// The columns of the table.
pub const HEADER: [&str; 9] = [
    "nodes",
    "queues, messages at once",
    "connected to",
    "confirmed in a second",
    "delivered in a second",
    "until confirmed p50 / p95 / p99",
    "until delivered p50 / p95 / p99",
    "cores: broker",
    "cores: programs that publish and consume",
];

/// Where a queue's publisher and consumer are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// To the node whose copy leads.
    Leader,
    /// To another.
    Follower,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Queues at once.
    pub queues: usize,
    /// Messages of each that are published and not confirmed, at any time.
    pub at_once: usize,
    /// Where its programs are connected.
    pub at: At,
}

/// For how long a message is on its way.
pub const LATENCY: Setting = Setting {
    queues: 1,
    at_once: 1,
    at: At::Leader,
};
/// How many go through one queue: as many at once as irmgard publishes at most.
pub const ONE_QUEUE: Setting = Setting {
    queues: 1,
    at_once: 64,
    at: At::Leader,
};
/// And through several, each with connections of its own.
pub const MANY_QUEUES: Setting = Setting {
    queues: 6,
    at_once: 32,
    at: At::Leader,
};

impl Setting {
    /// The same, connected to nodes that do not lead.
    pub const fn by_a_follower(self) -> Self {
        Self {
            at: At::Follower,
            ..self
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.queues {
            1 => write!(f, "1 queue, {}", self.at_once),
            queues => write!(f, "{queues} queues, {} each", self.at_once),
        }
    }
}

/// The figures of a setting: of one round, or the median of each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Messages confirmed in a second.
    pub confirmed: f64,
    /// And delivered.
    pub delivered: f64,
    /// Until a message is confirmed: p50, p95, p99.
    pub until_confirmed: [Duration; 3],
    /// And delivered.
    pub until_delivered: [Duration; 3],
    /// Cores that the broker's pods used, all together.
    pub broker: f64,
    /// Cores that this program used.
    pub programs: f64,
}

impl Figures {
    /// Whether messages come faster than they go.
    fn piles_up(&self) -> bool {
        self.delivered < self.confirmed * 0.95
    }

    /// Seconds of a core that the broker uses for a message, from being published to being acknowledged.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        let messages = f64::midpoint(self.confirmed, self.delivered);
        (messages > 0.0).then(|| self.broker / messages)
    }
}

/// Measures settings in turns; the median of each, in their order.
///
/// # Errors
/// When the broker is not reached.
pub async fn measure(
    stage: &mut Stage,
    doors: &Doors,
    settings: &[Setting],
    table: Table,
) -> Result<Vec<Figures>> {
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); settings.len()];
    for round in 1..=ROUNDS {
        for (setting, measured) in settings.iter().zip(&mut rounds) {
            let figures = one(stage, doors, *setting).await?;
            stage.step(format_args!(
                "{} of {ROUNDS}, {} node(s), {setting} at once, {:?}: {:.0} confirmed, {:.0} delivered in a second",
                round,
                doors.nodes(),
                setting.at,
                figures.confirmed,
                figures.delivered
            ));
            measured.push(figures);
        }
    }
    for (setting, measured) in settings.iter().zip(&rounds) {
        stage.report.row(table, row(doors.nodes(), *setting, measured));
    }
    Ok(rounds.iter().map(|measured| median(measured)).collect())
}

async fn one(stage: &Stage, doors: &Doors, setting: Setting) -> Result<Figures> {
    let lanes = doors.lanes(setting.queues, setting.at);
    let traffic = Traffic::start(&lanes, setting.at_once, Duration::ZERO).await?;
    sleep(WARM).await;
    let (cluster, nodes) = (&stage.cluster, doors.nodes());
    let here = Pid(std::process::id());
    let (broker, programs, read) = (used(cluster, nodes).await?, here.cpu_seconds()?, Instant::now());
    let from = traffic.now();
    sleep(COUNTED).await;
    let to = traffic.now();
    let lasted = read.elapsed().as_secs_f64();
    let programs = here.cpu_seconds()? - programs;
    let broker = used(cluster, nodes).await? - broker;
    let broker_lasted = read.elapsed().as_secs_f64();
    let notes = traffic.stop().await;
    Ok(Figures {
        confirmed: rate(notes.confirms(), from, to),
        delivered: rate(notes.deliveries(), from, to),
        until_confirmed: percentiles(&notes.confirmed_after(from, to)),
        until_delivered: percentiles(&notes.delivered_after(from, to)),
        broker: broker / broker_lasted,
        programs: programs / lasted,
    })
}

/// Seconds of a core that the broker's pods have used, all together.
async fn used(cluster: &Cluster, nodes: usize) -> Result<f64> {
    let used = try_join_all((0..nodes).map(async |pod| {
        // Of cgroup v1, in nanoseconds; of v2, in microseconds.
        let script =
            "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || grep usage_usec /sys/fs/cgroup/cpu.stat";
        parse_used(&inside(cluster, pod, &["sh", "-c", script]).await?)
    }));
    Ok(used.await?.iter().sum())
}

fn parse_used(text: &str) -> Result<f64> {
    let text = text.trim();
    let (number, unit) = match text.strip_prefix("usage_usec ") {
        Some(number) => (number, 1e6),
        None => (text, 1e9),
    };
    let number: f64 = number
        .parse()
        .with_context(|| format!("a pod's use of the processor: {text}"))?;
    Ok(number / unit)
}

fn row(nodes: usize, setting: Setting, rounds: &[Figures]) -> Vec<String> {
    let all = median(rounds);
    let spread = |figure: fn(&Figures) -> f64| {
        let mut sorted: Vec<_> = rounds.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        match (sorted.first(), sorted.last()) {
            (Some(least), Some(most)) => {
                format!("{:.0} ({least:.0} to {most:.0})", middle(sorted.clone()))
            }
            _ => "–".to_owned(),
        }
    };
    vec![
        nodes.to_string(),
        setting.to_string(),
        match setting.at {
            At::Leader => "the leader".to_owned(),
            At::Follower => "another".to_owned(),
        },
        spread(|round| round.confirmed),
        spread(|round| round.delivered),
        all.until_confirmed.map(millis).join(" / "),
        // How long a message lies in a queue that grows says only for how long it has grown.
        if all.piles_up() {
            "the queue grows".to_owned()
        } else {
            all.until_delivered.map(millis).join(" / ")
        },
        format!("{:.2}", all.broker),
        format!("{:.2}", all.programs),
    ]
}

/// The median of each figure.
fn median(rounds: &[Figures]) -> Figures {
    let of = |figure: &dyn Fn(&Figures) -> f64| middle(rounds.iter().map(figure).collect());
    let time = |figure: &dyn Fn(&Figures) -> Duration| {
        Duration::from_secs_f64(of(&|round| figure(round).as_secs_f64()))
    };
    Figures {
        confirmed: of(&|round| round.confirmed),
        delivered: of(&|round| round.delivered),
        until_confirmed: [0, 1, 2].map(|place| time(&|round| round.until_confirmed[place])),
        until_delivered: [0, 1, 2].map(|place| time(&|round| round.until_delivered[place])),
        broker: of(&|round| round.broker),
        programs: of(&|round| round.programs),
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds, as they stand in the report.
#[must_use]
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
    fn the_median_is_of_each_figure_by_itself() {
        let round = |confirmed, ms| Figures {
            confirmed,
            delivered: confirmed,
            broker: 0.5,
            until_confirmed: [Duration::from_millis(ms); 3],
            ..Figures::default()
        };
        let rounds = [round(300.0, 1), round(100.0, 3), round(200.0, 9)];
        let all = median(&rounds);
        assert!((all.confirmed - 200.0).abs() < 1e-9);
        assert_eq!(all.until_confirmed[0], Duration::from_millis(3));
        let row = row(3, MANY_QUEUES.by_a_follower(), &rounds);
        assert_eq!(
            row[..4],
            ["3", "6 queues, 32 each", "another", "200 (100 to 300)"]
        );
        assert_eq!(row[5], "3.0 ms / 3.0 ms / 3.0 ms");
        assert!((all.cost().unwrap() - 0.002_5).abs() < 1e-9);
        assert!(!all.piles_up());
        let slower = Figures {
            delivered: 100.0,
            ..all
        };
        assert!(slower.piles_up());
        assert_eq!(Figures::default().cost(), None);
    }

    #[test]
    fn both_kinds_of_cgroups_are_read() {
        assert!((parse_used("4588147418\n").unwrap() - 4.588_147_418).abs() < 1e-9);
        assert!((parse_used("usage_usec 2500000\n").unwrap() - 2.5).abs() < 1e-9);
        let error = parse_used("").unwrap_err().to_string();
        assert!(error.contains("use of the processor"), "{error}");
    }
}
