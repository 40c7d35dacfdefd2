//! Names, types and meanings of the fields of a log line.
//!
//! A dotted name is a nested object in the line: `photo.id` is `{"photo":{"id":17}}`. Names are those of the
//! OpenTelemetry semantic conventions where these have one; others end in their unit.

/// One field of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Dotted name.
    pub name: &'static str,
    /// Type of the values.
    pub kind: FieldKind,
    /// Meaning, for people.
    pub meaning: &'static str,
}

/// Type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A short text that is compared as a whole.
    Keyword,
    /// A text that is searched for words.
    Text,
    /// Several short texts, each compared as a whole: an array of keywords.
    Keywords,
    /// RFC 3339, UTC, kept in milliseconds.
    Date,
    /// RFC 3339, UTC, kept in nanoseconds: 1970 to April 2262.
    DateNanos,
    /// A whole number that fits 64 bits with sign.
    Long,
    /// A number.
    Double,
    /// True or false.
    Boolean,
    /// An object of few keywords with any names; the index maps its members dynamically.
    KeywordMap,
    /// An object with any number of names and values, which is one field of the index.
    FlatObject,
}

impl FieldKind {
    /// The type's name in OpenSearch mappings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyword | Self::Keywords => "keyword",
            Self::Text => "text",
            Self::Date => "date",
            Self::DateNanos => "date_nanos",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::KeywordMap => "object",
            Self::FlatObject => "flat_object",
        }
    }

    /// The type for people, with what a mapping does not say.
    #[must_use]
    pub const fn described(self) -> &'static str {
        match self {
            Self::Keywords => "keyword, several",
            Self::KeywordMap => "object of keywords",
            other => other.name(),
        }
    }
}

/// Makes a constant of each name and a table of the fields.
macro_rules! fields {
    ($table:ident: $($constant:ident $name:literal $kind:ident $meaning:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            pub const $constant: &str = $name;
        )*

        const $table: &[Field] = &[
            $(Field { name: $constant, kind: FieldKind::$kind, meaning: $meaning },)*
        ];
    };
}

/// Makes a field of each class of objects that the worker detects.
macro_rules! classes {
    ($([$class:ident $name:ident $meaning:literal])*) => {
        const CLASSES: &[Field] = &[
            $(Field {
                name: concat!("detections.", stringify!($name)),
                kind: FieldKind::Long,
                meaning: $meaning,
            },)*
        ];
    };
}
crate::with_classes!(classes);

/// Every field, in the order of the documentation.
pub const FIELDS: &[Field] = &concatenated();

const fn concatenated() -> [Field; FIRST.len() + CLASSES.len() + REST.len()] {
    let tables = [FIRST, CLASSES, REST];
    let mut all = [FIRST[0]; FIRST.len() + CLASSES.len() + REST.len()];
    let (mut table, mut row, mut at) = (0, 0, 0);
    while table < tables.len() {
        if row == tables[table].len() {
            (table, row) = (table + 1, 0);
        } else {
            all[at] = tables[table][row];
            (row, at) = (row + 1, at + 1);
        }
    }
    all
}

fields! { FIRST:
    TIMESTAMP "@timestamp" DateNanos "Time of the event, UTC: from the line itself, otherwise from the container runtime."
    LEVEL "level" Keyword "`error`, `warn`, `info`, `debug` or `trace`."
    MESSAGE "message" Text "What happened, for people."
    COMPONENT "component" Keyword "The component that wrote the line: `irmgard`, `anonymizer`, `postgres`, `rabbitmq`, `object-store`, …"
    SERVICE_NAME "service.name" Keyword "The program's name, as in its traces."
    SERVICE_VERSION "service.version" Keyword "The program's version."
    TRACE_ID "trace_id" Keyword "The trace id (32 hex digits). One trace spans the POST, the queue and the output. On every line of a request or job, sampled or not."
    SPAN_ID "span_id" Keyword "The span within the trace (16 hex digits)."
    TARGET "target" Keyword "The module of the program that wrote the line."
    TRUNCATED "truncated" Boolean "True if values were shortened or left out, to keep the line under 16 KiB or the document indexable."
    TAGS "tags" Keywords "Problems or peculiarities of the line; see the table of tags."
    LOG_IOSTREAM "log.iostream" Keyword "`stdout` or `stderr`."
    EVENT_ID "event.id" Keyword "The line's id and the document's `_id`. It does not depend on the path by which the line was shipped."
    EVENT_START "event.start" Date "Time of the event, if the line was written later."
    EVENT_INGESTED "event.ingested" Date "Time at which OpenSearch received the line, by its own clock."

    KUBERNETES_NAMESPACE "kubernetes.namespace" Keyword "The pod's namespace."
    KUBERNETES_POD "kubernetes.pod" Keyword "The pod's name."
    KUBERNETES_POD_UID "kubernetes.pod_uid" Keyword "The pod's uid."
    KUBERNETES_CONTAINER "kubernetes.container" Keyword "The container's name."
    KUBERNETES_NODE "kubernetes.node" Keyword "The node's name."
    KUBERNETES_LABELS "kubernetes.labels" KeywordMap "The pod's labels `app.kubernetes.io/…` and `irmgard.dev/…`; each `.` in their names becomes `_`."
    KUBERNETES_OTHER_LABELS "kubernetes.other_labels" FlatObject "The pod's other labels; their names keep their dots."

    PHOTO_ID "photo.id" Long "The photo's number."
    PHOTO_MEDIA_TYPE "photo.media_type" Keyword "`image/jpeg`, `image/png` or `image/webp`, detected from the content."
    PHOTO_SIZE_BYTES "photo.size_bytes" Long "The original's size in bytes."
    PHOTO_WIDTH_PIXELS "photo.width_pixels" Long "The photo's width in pixels."
    PHOTO_HEIGHT_PIXELS "photo.height_pixels" Long "The photo's height in pixels."
    LIMIT "limit" Long "The limit that a refused photo exceeds: bytes, pixels, or pixels of one side."
    PHOTO_STATUS "photo.status" Keyword "`received`, `queued`, `anonymized` or `failed`."
    GIVEN_ID "given.id" Long "The number that the legacy web service gave its photo; not one of ours."
    PROJECT "project" Keyword "The timelapse project's name."
    TOKEN_NAME "token.name" Keyword "The name of the client's token; never the token itself."
    USER_NAME "user.name" Keyword "The operator who ran the command."

    OUTCOME "outcome" Keyword "How a request or a job ended."
    DURATION_SECONDS "duration_seconds" Double "Duration of the request, job, step or wait, in seconds."
    FAILURE_REASON "failure.reason" Keyword "Why the photo could not be anonymised, as a stable code."
    FAILURE_DETAIL "failure.detail" Text "Why the photo could not be anonymised, as a sentence."
    DEPENDENCY "dependency" Keyword "The server behind a circuit breaker: `postgres`, `postgres-writes`, `object-store`."
    ATTEMPT "attempt" Long "Number of the attempt, from 1."
    RETRY_AFTER_SECONDS "retry_after_seconds" Double "Seconds until the next attempt."
    COUNT "count" Long "How many items the message is about."
    OUTBOX_OLDEST_AGE_SECONDS "outbox.oldest_age_seconds" Double "Age of the oldest job in the outbox, in seconds."
    SWEEP_AGE_SECONDS "sweep.age_seconds" Double "Seconds since the last scheduled run of `irmgard sweep`."
    REASON "reason" Keyword "The cause, as a stable code or a short text."
    ACTION "action" Keyword "What an operator did to a failed photo: `list`, `export`, `requeue`, `delete`."
    STEP "step" Keyword "The step of a job that is retried: `get`, `anonymize`, `put`, `publish`, `delete`, `find the output`."
    LINK "link" Keyword "The purpose of a connection to the broker."
    SIGNAL "signal" Keyword "The signal that stopped the program."
    CONCURRENCY "concurrency" Long "Number of photos processed at once."
    MEMORY_BYTES "memory_bytes" Long "Memory available to the photos being processed, in bytes."
    KIND "kind" Keyword "The kind of finding or notice: `no-photo`, `foreign-key`, … of `irmgard sweep`; `dead-letters` of Fluentd."
    ADDRESS "address" Keyword "The address on which the API listens."
    ADMIN "admin" Keyword "The address on which probes and metrics are served."
    SCHEMA_BEFORE "schema.before" Long "The database schema's version before a migration."
    SCHEMA_AFTER "schema.after" Long "The database schema's version after a migration."

    STAGE_GET_SECONDS "stage.get_seconds" Double "Seconds to read the original from the object store."
    STAGE_DECODE_SECONDS "stage.decode_seconds" Double "Seconds to decode the photo and apply its orientation."
    STAGE_DETECT_SECONDS "stage.detect_seconds" Double "Seconds to detect people, faces and vehicles."
    STAGE_OBSCURE_SECONDS "stage.obscure_seconds" Double "Seconds to obscure the detected objects."
    STAGE_CHECK_SECONDS "stage.check_seconds" Double "Seconds to check the obscured photo with the detector."
    STAGE_ENCODE_SECONDS "stage.encode_seconds" Double "Seconds to encode the JPEG."
    STAGE_PUT_SECONDS "stage.put_seconds" Double "Seconds to write the output to the object store."
    STAGE_PUBLISH_SECONDS "stage.publish_seconds" Double "Seconds to publish the result, including the broker's confirm."
    STAGE_DELETE_SECONDS "stage.delete_seconds" Double "Seconds to delete the original."
    OUTPUT_SIZE_BYTES "output.size_bytes" Long "The anonymised photo's size in bytes."
}

fields! { REST:
    SECOND_LOOK_CANDIDATES "second_look.candidates" Long "Number of uncertain candidates that the detector examined a second time."
    SECOND_LOOK_DROPPED "second_look.dropped" Long "How many of these it dropped."
    SECOND_LOOK_LEFT_OUT "second_look.left_out" Long "Number of uncertain candidates beyond the time budget; they are hidden."
    CHECK_STILL_VISIBLE "check.still_visible" Long "Number of people and faces that the check still saw; they were then hidden."

    HTTP_REQUEST_METHOD "http.request.method" Keyword "The request's method."
    HTTP_ROUTE "http.route" Keyword "The matched route with its placeholders; never the path itself."
    HTTP_RESPONSE_STATUS_CODE "http.response.status_code" Long "The response's status."
    HTTP_REQUEST_BODY_SIZE "http.request.body.size" Long "Bytes read of the request's body."
    HTTP_RESPONSE_BODY_SIZE "http.response.body.size" Long "Size of the response's body in bytes."
    PROBLEM_CODE "problem.code" Keyword "Stable code of the error in the response."
    SERVER_ADDRESS "server.address" Keyword "The server that a client connects to, or the address on which a server listens."
    SERVER_PORT "server.port" Long "The port of `server.address`."

    MESSAGING_SYSTEM "messaging.system" Keyword "`rabbitmq`."
    MESSAGING_DESTINATION_NAME "messaging.destination.name" Keyword "The queue's name."
    MESSAGING_MESSAGE_ID "messaging.message.id" Keyword "The message's id."
    MESSAGING_MESSAGE_BODY_SIZE "messaging.message.body.size" Long "The message's size in bytes."
    MESSAGING_DELIVERY_COUNT "messaging.delivery_count" Long "How often the message was delivered before."
    MESSAGING_CLIENT_ID "messaging.client.id" Keyword "The connection's name, as set by the client."
    CLIENT_ADDRESS "client.address" Keyword "The address of a connected client or of a refused request; `[local]` for a Unix socket."
    CLIENT_PORT "client.port" Long "The port of `client.address`."
    DB_SYSTEM_NAME "db.system.name" Keyword "`postgresql`."
    DB_NAMESPACE "db.namespace" Keyword "The database's name."
    DB_QUERY_TEXT "db.query.text" Text "The statement, without its parameters."
    DB_RESPONSE_STATUS_CODE "db.response.status_code" Keyword "SQLSTATE."
    POSTGRESQL_SEVERITY "postgresql.severity" Keyword "PostgreSQL's own level: `LOG`, `NOTICE`, `FATAL`, …"
    POSTGRESQL_USER "postgresql.user" Keyword "The database user."
    POSTGRESQL_APPLICATION_NAME "postgresql.application_name" Keyword "The client's name for itself; our programs set name and trace id."
    POSTGRESQL_BACKEND_TYPE "postgresql.backend_type" Keyword "The kind of process that wrote the line."
    POSTGRESQL_SESSION_ID "postgresql.session_id" Keyword "The session's id."
    POSTGRESQL_LINE_NUMBER "postgresql.line_number" Long "The line's number within the session."
    POSTGRESQL_QUERY_ID "postgresql.query_id" Keyword "The id of the statement without its constants."
    POSTGRESQL_DETAIL "postgresql.detail" Text "DETAIL of the message."
    POSTGRESQL_HINT "postgresql.hint" Text "HINT of the message."
    POSTGRESQL_CONTEXT "postgresql.context" Text "CONTEXT of the message."
    POSTGRESQL_INTERNAL_QUERY "postgresql.internal_query" Text "The failed statement inside a function."
    POSTGRESQL_PS "postgresql.ps" Keyword "What the process was doing."
    POSTGRESQL_VIRTUAL_TRANSACTION_ID "postgresql.virtual_transaction_id" Keyword "The transaction's virtual id."
    POSTGRESQL_TRANSACTION_ID "postgresql.transaction_id" Long "The transaction's id; only after its first write."
    RABBITMQ_DOMAIN "rabbitmq.domain" Keyword "The part of the broker that wrote the line."
    RABBITMQ_PID "rabbitmq.pid" Keyword "The Erlang process that wrote the line."
    RABBITMQ_CONNECTION_PID "rabbitmq.connection.pid" Keyword "The Erlang process of the connection in the message."
    OBJECT_BUCKET "object.bucket" Keyword "The object's bucket."
    OBJECT_LOCATION "object.location" Keyword "The object's location: `s3://bucket/key`."
    OBJECT_KEY "object.key" Keyword "The object's key."

    ERROR_TYPE "error.type" Keyword "The kind of error."
    ERROR_MESSAGE "error.message" Text "The error with its causes. The field `error` is stored here."
    EXCEPTION_STACKTRACE "exception.stacktrace" Text "The stack of a panic, if RUST_BACKTRACE is set."
    CODE_FILE_PATH "code.file.path" Keyword "The source file."
    CODE_LINE_NUMBER "code.line.number" Long "The line in the source file."
    CODE_FUNCTION_NAME "code.function.name" Keyword "The function."
    THREAD_NAME "thread.name" Keyword "The thread's name."
    PROCESS_PID "process.pid" Long "The process's id."
    PROCESS_EXIT_CODE "process.exit.code" Long "The exit code of a child process."
    FIELDS_OTHER "fields" FlatObject "Other programs' fields without a name above, and values whose type differs from this table."
}

/// Whether other fields are nested in one of this name. A value under the name would conflict with them in an index.
#[must_use]
pub fn is_object(name: &str) -> bool {
    FIELDS.iter().any(|field| {
        field
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The field of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(by_name(PHOTO_ID).map(|field| field.kind), Some(FieldKind::Long));
        assert_eq!(by_name("photo"), None);
    }

    #[test]
    fn names_are_unique() {
        for (i, field) in FIELDS.iter().enumerate() {
            assert!(
                FIELDS.iter().skip(i + 1).all(|other| other.name != field.name),
                "{}",
                field.name
            );
        }
    }

    /// `photo` cannot be a number and an object at once.
    #[test]
    fn no_field_is_a_parent_of_another() {
        for field in FIELDS {
            assert!(!is_object(field.name), "{}", field.name);
        }
        assert!(is_object("photo") && is_object("http.request") && !is_object("phot"));
    }

    #[test]
    fn names_are_lower_case_words() {
        for field in FIELDS {
            let name = field.name.strip_prefix('@').unwrap_or(field.name);
            let word = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_lowercase())
                    && part
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            assert!(name.split('.').all(word), "{}", field.name);
            assert!(field.meaning.ends_with(['.', '…']), "{}", field.name);
        }
    }
}
