//! The settings of `anonymizer serve`, read from the environment.

mod photo;

use std::{collections::BTreeSet, ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use contract::ObjectLocation;
use service_runtime::{
    broker::BrokerSettings,
    settings::{Environment, SettingsErrors, SettingsReader, Variable},
    store::StoreSettings,
};

use imaging::AnonymizeSettings;

use crate::capacity::{self, Capacity};

/// RabbitMQ's `consumer_timeout` (30 minutes, set by this project) minus one minute. A
/// worker that settles a delivery later loses all its deliveries.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(29 * 60);

/// Together with the maximum delay of the retries, this lets work continue within ten
/// seconds after a stalled store recovers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// All settings of `anonymizer serve`.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub broker: BrokerSettings,
    pub store: StoreSettings,
    /// Buckets that messages may name.
    pub buckets: Buckets,
    pub photo: PhotoSettings,
    /// Address of probes and metrics.
    pub admin_listen: SocketAddr,
    pub capacity: Capacity,
    /// How long a job waits for a server before its message is republished.
    pub hold_limit: Duration,
    /// How long one photo may take.
    pub photo_time_limit: Duration,
    /// How long running jobs may continue after SIGTERM.
    pub shutdown_grace: Duration,
}

/// The buckets that the worker may access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Originals of irmgard and of the legacy web service.
    pub input: String,
    /// Anonymised photos.
    pub output: String,
    /// More buckets for originals of the legacy web service.
    pub extra_inputs: BTreeSet<String>,
}

/// The settings to process one photo, in this process or in a child process.
#[derive(Clone, Debug)]
pub struct PhotoSettings {
    /// ONNX Runtime's library.
    pub library: PathBuf,
    pub anonymize: AnonymizeSettings,
}

impl PhotoSettings {
    /// Reads the variables that a child process also needs.
    pub fn read(reader: &mut SettingsReader<'_>) -> Self {
        Self {
            library: reader
                .string(
                    "ORT_DYLIB_PATH",
                    "libonnxruntime.so.1.31.1",
                    "file of ONNX Runtime's library; a bare file name is searched on the system's library path; \
                     `make setup` installs one in .local/onnxruntime",
                )
                .into(),
            anonymize: photo::read(reader),
        }
    }
}

impl WorkerSettings {
    /// Reads all settings.
    ///
    /// # Errors
    /// All errors at once.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, SettingsErrors> {
        let mut reader = SettingsReader::new(environment);
        let settings = Self::read(&mut reader);
        reader.finish()?;
        Ok(settings)
    }

    fn read(reader: &mut SettingsReader<'_>) -> Self {
        let broker = BrokerSettings::read(reader, "anonymizer");
        let store = StoreSettings::read(reader, ANSWER_TIMEOUT);
        let buckets = buckets(reader, &store);
        let photo = PhotoSettings::read(reader);
        let admin_listen = reader.parsed(
            "ADMIN_LISTEN",
            SocketAddr::from(([0, 0, 0, 0], 9090)),
            "address of probes and metrics",
        );
        let capacity = capacity(reader);
        let hold_limit = reader.duration(
            "HOLD_LIMIT",
            Duration::from_secs(600),
            "how long a job waits for an unavailable object store or RabbitMQ before its message returns to \
             the queue",
        );
        let photo_time_limit = reader.duration(
            "PHOTO_TIME_LIMIT",
            Duration::from_secs(300),
            "how long one photo may take before it is stopped and retried in a child process",
        );
        // The worst case: a photo reaches its limit once in this process and twice in a child.
        if hold_limit + 3 * photo_time_limit > CONSUMER_TIMEOUT {
            reader.add_error(
                "HOLD_LIMIT",
                "is too long: HOLD_LIMIT plus three times PHOTO_TIME_LIMIT must be at most 29m, because RabbitMQ \
                 takes back a message that is not settled within 30m (its consumer_timeout)",
            );
        }
        if photo_time_limit < Duration::from_secs(1) {
            reader.add_error("PHOTO_TIME_LIMIT", "is too short: it must be at least 1s");
        }
        let shutdown_grace = reader.duration(
            "SHUTDOWN_GRACE",
            Duration::from_secs(20),
            "how long running jobs may continue after SIGTERM; returning the others to the queue takes up to 8s more",
        );
        Self {
            broker,
            store,
            buckets,
            photo,
            admin_listen,
            capacity,
            hold_limit,
            photo_time_limit,
            shutdown_grace,
        }
    }
}

fn buckets(reader: &mut SettingsReader<'_>, store: &StoreSettings) -> Buckets {
    const EXTRA: &str = "OBJECT_STORE_EXTRA_INPUT_BUCKETS";
    let extra = reader
        .optional(
            EXTRA,
            "more buckets for originals of the legacy web service, separated by commas",
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
        reader.add_error(EXTRA, "contains an invalid bucket name");
    }
    if extra_inputs.contains(&store.output_bucket) {
        reader.add_error(
            EXTRA,
            "contains the output bucket: anonymised photos and originals need different buckets",
        );
    }
    Buckets {
        input: store.input_bucket.clone(),
        output: store.output_bucket.clone(),
        extra_inputs,
    }
}

fn capacity(reader: &mut SettingsReader<'_>) -> Capacity {
    let memory = reader.bytes_optional(
        "MEMORY_LIMIT",
        "memory that the worker may use; if not set, its cgroup's limit, or half of the machine's memory; \
         a photo fails if it leaves no room for another one of 24 megapixels (docs/detector.md)",
    );
    let concurrency = reader.parsed_optional(
        "CONCURRENCY",
        "jobs at once, also the prefetch; if not set, one more than the photos that cores and memory allow \
         at once",
    );
    if concurrency == Some(0) {
        reader.add_error("CONCURRENCY", "is 0: it must be at least 1");
    }
    Capacity::new(
        memory.unwrap_or_else(capacity::memory_limit),
        capacity::cores(),
        concurrency,
    )
}

/// All variables that the worker reads, for the documentation.
#[must_use]
pub fn document() -> Vec<Variable> {
    let empty = std::collections::BTreeMap::new();
    let mut reader = SettingsReader::new(&empty);
    let _ = WorkerSettings::read(&mut reader);
    reader.documentation().to_vec()
}

/// The environment of a child process: the variables that it reads, and those that
/// control its libraries. No credentials.
#[must_use]
pub fn child_environment(environment: &dyn Environment) -> Vec<(OsString, OsString)> {
    const PASSED_THROUGH: [&str; 7] = [
        "FAILPOINTS",
        "LD_LIBRARY_PATH",
        "MALLOC_ARENA_MAX",
        "PATH",
        "RUST_BACKTRACE",
        "TMPDIR",
        "TZ",
    ];
    let mut reader = SettingsReader::new(environment);
    let _ = PhotoSettings::read(&mut reader);
    reader
        .documentation()
        .iter()
        .flat_map(|variable| [variable.name.clone(), format!("{}_FILE", variable.name)])
        .chain(PASSED_THROUGH.map(str::to_owned))
        .filter_map(|name| Some((name.clone().into(), environment.get(&name)?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read_with(changes: &[(&str, &str)]) -> Result<WorkerSettings, String> {
        let required = [
            ("RABBITMQ_HOST", "rabbitmq"),
            ("RABBITMQ_USERNAME", "anonymizer"),
            ("RABBITMQ_PASSWORD", "secret"),
            ("OBJECT_STORE_ENDPOINT", "http://store:9000"),
            ("OBJECT_STORE_ACCESS_KEY_ID", "anonymizer"),
            ("OBJECT_STORE_SECRET_ACCESS_KEY", "secret"),
            ("ORT_DYLIB_PATH", "/usr/lib/libonnxruntime.so"),
        ];
        let environment: BTreeMap<String, String> = required
            .iter()
            .chain(changes)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        WorkerSettings::from_environment(&environment).map_err(|errors| errors.to_string())
    }

    #[test]
    fn defaults_are_valid() {
        let settings = read_with(&[]).unwrap();
        assert_eq!(settings.buckets.input, "input");
        assert_eq!(settings.buckets.output, "output");
        assert!(settings.buckets.extra_inputs.is_empty());
        assert!(settings.capacity.concurrency > settings.capacity.threads);
    }

    #[test]
    fn extra_input_buckets_are_a_list() {
        let settings = read_with(&[("OBJECT_STORE_EXTRA_INPUT_BUCKETS", "infiles, uploads,")]).unwrap();
        let buckets: Vec<_> = settings.buckets.extra_inputs.iter().map(String::as_str).collect();
        assert_eq!(buckets, ["infiles", "uploads"]);
    }

    #[test]
    fn invalid_settings_are_reported_by_name() {
        for (name, value) in [
            ("OBJECT_STORE_EXTRA_INPUT_BUCKETS", "infiles,output"),
            ("OBJECT_STORE_EXTRA_INPUT_BUCKETS", "No Bucket"),
            ("OBJECT_STORE_OUTPUT_BUCKET", "input"),
            ("HOLD_LIMIT", "25m"),
            ("PHOTO_TIME_LIMIT", "500ms"),
            ("CONCURRENCY", "0"),
            ("MEMORY_LIMIT", "lots"),
        ] {
            let errors = read_with(&[(name, value)]).unwrap_err();
            assert!(errors.contains(name), "{name}={value}: {errors}");
        }
    }

    #[test]
    fn every_variable_has_a_description() {
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
