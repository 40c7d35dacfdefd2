//! A running web service with its own database, buckets and queues.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use aws_sdk_s3::primitives::ByteStream;
use irmgard::{
    api::{self, ApiDependencies, Tokens},
    database::{Database, migrate},
    settings::ServeSettings,
};
use local::Scratch;
use prometheus_client::registry::Registry;
use serde_json::Value;
use service_runtime::{
    http::{self, ServerLimits},
    store::Store,
};
use sqlx::{PgPool, Row};
pub use test_support::eventually;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a condition may take to become true.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running web service.
pub struct WebFixture {
    pub address: SocketAddr,
    pub pool: PgPool,
    pub store: Store,
    pub settings: ServeSettings,
    pub relay: Arc<Notify>,
    pub registry: Arc<Registry>,
    pub tasks: TaskTracker,
    pub end: CancellationToken,
    pub server: Option<JoinHandle<()>>,
    pub http: reqwest::Client,
    _scratch: Scratch,
}

/// What a test can override.
pub struct Overrides<'a> {
    pub settings: &'a mut ServeSettings,
    pub tokens: &'a mut Tokens,
    pub limits: &'a mut ServerLimits,
}

impl WebFixture {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Uses longer time limits than the defaults: a busy machine is not an outage.
    pub async fn start_with(overrides: impl FnOnce(Overrides<'_>)) -> Self {
        let patient = [
            ("POSTGRES_TIMEOUT", "20s"),
            ("POSTGRES_ACQUIRE_TIMEOUT", "20s"),
            ("OBJECT_STORE_CONNECT_TIMEOUT", "20s"),
            ("OBJECT_STORE_ANSWER_TIMEOUT", "20s"),
        ];
        Self::start_in(&patient, overrides).await
    }

    /// Uses the default time limits, for tests of outages.
    pub async fn start_with_defaults(overrides: impl FnOnce(Overrides<'_>)) -> Self {
        Self::start_in(&[], overrides).await
    }

    async fn start_in(more: &[(&str, &str)], overrides: impl FnOnce(Overrides<'_>)) -> Self {
        log();
        let scratch = local::scratch()
            .await
            .expect("no stack is running: use `make test`");
        let owner = ServeSettings::from_environment(&scratch.environment()).unwrap();
        let mut test_store = owner.store;
        // The test's own requests may take long.
        test_store.answer_timeout = TIMEOUT;
        let store = Store::new(test_store).unwrap();
        // The service uses its own account, which has fewer rights than the test's.
        let mut environment = scratch.environment_for("irmgard");
        for (name, value) in more {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut settings = ServeSettings::from_environment(&environment).unwrap();
        migrate(&settings.database.connect_options(), None).await.unwrap();
        let pool = PgPool::connect_with(settings.database.connect_options())
            .await
            .unwrap();

        let (mut tokens, mut limits) = (Tokens::allow_all(), settings.http);
        overrides(Overrides {
            settings: &mut settings,
            tokens: &mut tokens,
            limits: &mut limits,
        });
        let mut registry = Registry::default();
        let (relay, tasks) = (Arc::new(Notify::new()), TaskTracker::new());
        let dependencies = ApiDependencies {
            database: Database::connect_lazily(&settings.database),
            database_timeout: settings.database_timeout,
            store: Store::new(settings.store.clone()).unwrap(),
            breaker: settings.breaker,
            upload: settings.upload.clone(),
            tokens,
            trusted_proxies: settings.trusted_proxies.clone(),
            relay: Arc::clone(&relay),
            tasks: tasks.clone(),
        };
        let router = api::router(dependencies, &mut registry);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let server = tokio::spawn(http::serve(listener, router, limits, end.clone()));
        Self {
            address,
            pool,
            store,
            settings,
            relay,
            registry: Arc::new(registry),
            tasks,
            end,
            server: Some(server),
            http: reqwest::Client::new(),
            _scratch: scratch,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::from_response(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    /// Sends the photo as the body.
    pub async fn post(&self, path: &str, photo: impl Into<reqwest::Body>) -> Answer {
        let request = self.http.post(self.url(path)).body(photo);
        Answer::from_response(request.send().await.unwrap()).await
    }

    /// Sends the photo as a body of unknown length.
    pub async fn post_chunked(&self, path: &str, photo: Vec<u8>) -> Answer {
        let chunks: Vec<_> = photo
            .chunks(50_000)
            .map(|chunk| Ok::<_, io::Error>(chunk.to_vec()))
            .collect();
        let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        self.post(path, body).await
    }

    /// Sends the photo as the form field `image`.
    pub async fn post_form(&self, path: &str, photo: Vec<u8>, name: &str) -> Answer {
        let part = reqwest::multipart::Part::bytes(photo).file_name(name.to_owned());
        self.post_fields(path, reqwest::multipart::Form::new().part("image", part))
            .await
    }

    pub async fn post_fields(&self, path: &str, form: reqwest::multipart::Form) -> Answer {
        Answer::from_response(
            self.http
                .post(self.url(path))
                .multipart(form)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes and reads the response.
    pub async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // The server may respond and close before it has read everything.
        let _ = stream.write_all(request).await;
        read_answer(&mut stream).await.expect("an answer")
    }

    pub async fn originals(&self) -> Vec<String> {
        self.keys(&self.settings.store.input_bucket).await
    }

    async fn keys(&self, bucket: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut pages = self
            .store
            .client()
            .list_objects_v2()
            .bucket(bucket)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(str::to_owned)),
            );
        }
        keys
    }

    pub async fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let request = self.store.client().get_object().bucket(bucket).key(key);
        let object = request.send().await.ok()?;
        Some(object.body.collect().await.unwrap().to_vec())
    }

    pub async fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let request = self.store.client().put_object().bucket(bucket).key(key);
        request.body(ByteStream::from(bytes)).send().await.unwrap();
    }

    pub async fn count(&self, table: &str) -> i64 {
        let sql = match table {
            "photo" => "SELECT count(*) FROM photo",
            "outbox" => "SELECT count(*) FROM outbox",
            "idempotency_key" => "SELECT count(*) FROM idempotency_key",
            other => panic!("no table {other}"),
        };
        sqlx::query(sql).fetch_one(&self.pool).await.unwrap().get(0)
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    /// Waits for the background work, then expects that no object and no row of any photo is left.
    pub async fn expect_nothing_left(&self) {
        self.wait_for_originals(0).await;
        assert_eq!(self.count("photo").await, 0);
        assert_eq!(self.count("outbox").await, 0);
    }

    /// Waits until the input bucket holds `count` objects and no background work is left.
    pub async fn wait_for_originals(&self, count: usize) {
        eventually("the originals are as many as expected", async || {
            self.tasks.is_empty() && self.originals().await.len() == count
        })
        .await;
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// A response with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn from_response(response: reqwest::Response) -> Self {
        let headers = response.headers().iter();
        Self {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
                .collect(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self))
    }

    /// Expects a problem with this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&Value::from(code), &Value::from(status))
        );
        assert_eq!(problem["type"], format!("urn:irmgard:problem:{code}"));
    }

    /// The id of the photo in the body.
    #[track_caller]
    pub fn id(&self) -> i64 {
        assert!(
            matches!(self.status, 200 | 202),
            "{} {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        self.json()["id"].as_i64().unwrap()
    }
}

/// Reads one response; `None` if the connection ends before its header does.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            if let Ok(httparse::Status::Complete(head)) = response.parse(&bytes) {
                let status = response.code.unwrap();
                let headers: Vec<_> = response
                    .headers
                    .iter()
                    .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
                    .collect();
                let answer = Answer {
                    status,
                    headers,
                    body: Vec::new(),
                };
                let length: usize = answer
                    .header("content-length")
                    .and_then(|l| l.parse().ok())
                    .unwrap_or(0);
                if bytes.len() >= head + length {
                    let body = bytes[head..head + length].to_vec();
                    return Some(Answer { body, ..answer });
                }
            }
            let mut chunk = [0; 8192];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            }
        }
    };
    tokio::time::timeout(TIMEOUT, read)
        .await
        .expect("an answer in time")
}

/// The head of a raw upload request.
pub fn raw_upload_head(path: &str, headers: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes()
}

/// The log lines of all tests so far.
pub fn log() -> &'static CapturedLog {
    static LOG: OnceLock<CapturedLog> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = CapturedLog::default();
        let service = telemetry::Service::new("irmgard", "test");
        let no_settings = |_: &str| None;
        let (subscriber, guard) =
            telemetry::subscriber(service, &no_settings, Box::new(log.clone())).unwrap();
        ::tracing::subscriber::set_global_default(subscriber).unwrap();
        std::mem::forget(guard);
        log
    })
}

#[derive(Clone, Default)]
pub struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Lines that contain this text.
    pub fn lines(&self, text: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let all = String::from_utf8_lossy(&bytes);
        let with = all.lines().filter(|line| line.contains(text));
        with.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
