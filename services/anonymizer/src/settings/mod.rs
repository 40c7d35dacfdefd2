//! What the environment says.

mod photo;

use std::{collections::BTreeSet, ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use chassis::{
    broker::BrokerSettings,
    settings::{Environment, Mistakes, Reader, Variable},
    store::StoreSettings,
};
use contract::ObjectLocation;

use imaging::AnonymizeSettings;

use crate::{
    budget::{self, Budget},
    job::Buckets,
};

/// RabbitMQ's `consumer_timeout` as the project sets it, with a minute to
/// spare: a delivery must be settled before, or the broker takes everything
/// back.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(29 * 60);

/// With the longest wait between two tries, work goes on within ten seconds of
/// a stalled store's return.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// All settings of `anonymizer serve`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// RabbitMQ.
    pub broker: BrokerSettings,
    /// The object store.
    pub store: StoreSettings,
    /// Buckets that messages may name.
    pub buckets: Buckets,
    /// How photos are anonymised.
    pub photo: PhotoSettings,
    /// Where probes and metrics are served.
    pub admin_listen: SocketAddr,
    /// How much is done at once.
    pub budget: Budget,
    /// How long a job waits for a server before its message is published
    /// again.
    pub hold_limit: Duration,
    /// How long work on one photo may take.
    pub photo_time_limit: Duration,
    /// How long jobs in work may go on after SIGTERM.
    pub shutdown_grace: Duration,
}

/// What one photo is worked on with, here or in a child process.
#[derive(Clone, Debug)]
pub struct PhotoSettings {
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// How photos are anonymised.
    pub anonymize: AnonymizeSettings,
}

impl PhotoSettings {
    /// Reads the variables that a child process needs, too.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            library: reader
                .string(
                    "ORT_DYLIB_PATH",
                    "libonnxruntime.so.1.31.1",
                    "ONNX Runtime's library; a bare name is looked for where the system's loader looks; \
                     `make setup` puts one into .local/onnxruntime",
                )
                .into(),
            anonymize: photo::read(reader),
        }
    }
}

impl Settings {
    /// Reads everything.
    ///
    /// # Errors
    /// All mistakes together.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(environment);
        let settings = Self::read(&mut reader);
        reader.finish()?;
        Ok(settings)
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let broker = BrokerSettings::read(reader, "anonymizer");
        let store = StoreSettings::read(reader, ANSWER_TIMEOUT);
        let buckets = buckets(reader, &store);
        let photo = PhotoSettings::read(reader);
        let admin_listen = reader.parsed(
            "ADMIN_LISTEN",
            SocketAddr::from(([0, 0, 0, 0], 9090)),
            "address of probes and metrics",
        );
        let budget = budget(reader);
        let hold_limit = reader.duration(
            "HOLD_LIMIT",
            Duration::from_secs(600),
            "how long a job is held while the object store or RabbitMQ is away, before its message is \
             published again",
        );
        let photo_time_limit = reader.duration(
            "PHOTO_TIME_LIMIT",
            Duration::from_secs(300),
            "how long work on one photo may take before it is stopped, and tried in a process of its own",
        );
        // In the worst case a photo is lost here, then twice in a child.
        if hold_limit + 3 * photo_time_limit > CONSUMER_TIMEOUT {
            reader.mistake(
                "HOLD_LIMIT",
                "is too long: together with three times PHOTO_TIME_LIMIT it must stay below 29m, since RabbitMQ \
                 takes back what is not settled in 30m (its consumer_timeout)",
            );
        }
        if photo_time_limit < Duration::from_secs(1) {
            reader.mistake("PHOTO_TIME_LIMIT", "is too short: at least 1s");
        }
        let shutdown_grace = reader.duration(
            "SHUTDOWN_GRACE",
            Duration::from_secs(20),
            "how long jobs in work may go on after SIGTERM; giving back what is left then takes up to 8s more",
        );
        Self {
            broker,
            store,
            buckets,
            photo,
            admin_listen,
            budget,
            hold_limit,
            photo_time_limit,
            shutdown_grace,
        }
    }
}

fn buckets(reader: &mut Reader<'_>, store: &StoreSettings) -> Buckets {
    const EXTRA: &str = "OBJECT_STORE_EXTRA_INPUT_BUCKETS";
    let extra = reader
        .optional(
            EXTRA,
            "more buckets, separated by commas, in which originals of the given web service may lie",
        )
        .unwrap_or_default();
    let extra_inputs: BTreeSet<String> = extra
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if extra_inputs
        .iter()
        .any(|name| ObjectLocation::new(name, "key").is_err())
    {
        reader.mistake(EXTRA, "holds what S3 allows as no bucket's name");
    }
    if extra_inputs.contains(&store.output_bucket) {
        reader.mistake(
            EXTRA,
            "holds the output bucket: anonymised photos must not lie among originals",
        );
    }
    Buckets {
        input: store.input_bucket.clone(),
        output: store.output_bucket.clone(),
        extra_inputs,
    }
}

fn budget(reader: &mut Reader<'_>) -> Budget {
    let memory = reader.bytes_optional(
        "MEMORY_LIMIT",
        "memory that the worker may use; if not set, its cgroup's limit, else half of the machine's; \
         a photo that would leave no room for one of 24 megapixels fails (docs/detector.md)",
    );
    let concurrency = reader.parsed_optional(
        "CONCURRENCY",
        "jobs at once, also the prefetch; if not set, one more than the photos that cores and memory allow to be \
         worked on at once",
    );
    if concurrency == Some(0) {
        reader.mistake("CONCURRENCY", "is 0: at least 1");
    }
    Budget::of(
        memory.unwrap_or_else(budget::memory_limit),
        budget::cores(),
        concurrency,
    )
}

/// Every variable that the worker reads, for the documentation.
#[must_use]
pub fn document() -> Vec<Variable> {
    let nothing = std::collections::BTreeMap::new();
    let mut reader = Reader::new(&nothing);
    let _ = Settings::read(&mut reader);
    reader.documentation().to_vec()
}

/// The part of the environment that a child process gets: what it reads
/// itself, and how its programs behave; no credentials.
#[must_use]
pub fn child_environment(environment: &dyn Environment) -> Vec<(OsString, OsString)> {
    const OTHERS: [&str; 7] = [
        "FAILPOINTS",
        "LD_LIBRARY_PATH",
        "MALLOC_ARENA_MAX",
        "PATH",
        "RUST_BACKTRACE",
        "TMPDIR",
        "TZ",
    ];
    let mut reader = Reader::new(environment);
    let _ = PhotoSettings::read(&mut reader);
    reader
        .documentation()
        .iter()
        .flat_map(|variable| [variable.name.clone(), format!("{}_FILE", variable.name)])
        .chain(OTHERS.map(str::to_owned))
        .filter_map(|name| Some((name.clone().into(), environment.get(&name)?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Settings, String> {
        let needed = [
            ("RABBITMQ_HOST", "rabbitmq"),
            ("RABBITMQ_USERNAME", "anonymizer"),
            ("RABBITMQ_PASSWORD", "secret"),
            ("OBJECT_STORE_ENDPOINT", "http://store:9000"),
            ("OBJECT_STORE_ACCESS_KEY_ID", "anonymizer"),
            ("OBJECT_STORE_SECRET_ACCESS_KEY", "secret"),
            ("ORT_DYLIB_PATH", "/usr/lib/libonnxruntime.so"),
        ];
        let environment: BTreeMap<String, String> = needed
            .iter()
            .chain(changes)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::from_environment(&environment).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn defaults_suffice() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.buckets.input, "input");
        assert_eq!(settings.buckets.output, "output");
        assert!(settings.buckets.extra_inputs.is_empty());
        assert!(settings.budget.concurrency > settings.budget.threads);
    }

    #[test]
    fn buckets_of_the_given_web_service_are_a_list() {
        let settings = read(&[("OBJECT_STORE_EXTRA_INPUT_BUCKETS", "infiles, uploads,")]).unwrap();
        let buckets: Vec<_> = settings.buckets.extra_inputs.iter().map(String::as_str).collect();
        assert_eq!(buckets, ["infiles", "uploads"]);
    }

    #[test]
    fn what_cannot_go_well_is_refused() {
        for (name, value) in [
            ("OBJECT_STORE_EXTRA_INPUT_BUCKETS", "infiles,output"),
            ("OBJECT_STORE_EXTRA_INPUT_BUCKETS", "No Bucket"),
            ("OBJECT_STORE_OUTPUT_BUCKET", "input"),
            ("HOLD_LIMIT", "25m"),
            ("PHOTO_TIME_LIMIT", "500ms"),
            ("CONCURRENCY", "0"),
            ("MEMORY_LIMIT", "lots"),
        ] {
            let told = read(&[(name, value)]).unwrap_err();
            assert!(told.contains(name), "{name}={value}: {told}");
        }
    }

    #[test]
    fn every_variable_is_described() {
        let variables = document();
        for name in [
            "RABBITMQ_HOST",
            "OBJECT_STORE_INPUT_BUCKET",
            "CLASSES",
            "HOLD_LIMIT",
        ] {
            assert!(variables.iter().any(|variable| variable.name == name), "{name}");
        }
        for variable in variables {
            assert!(variable.about.len() > 10, "{}", variable.name);
        }
    }
}
