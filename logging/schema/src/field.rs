//! Names, types and meanings of the fields of a log line.
//!
//! A dotted name is a nested object in the line: `photo.id` is
//! `{"photo":{"id":17}}`. Names are those of the OpenTelemetry semantic
//! conventions where these have one; others end in their unit.

/// One field of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Dotted name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it says, for people.
    pub meaning: &'static str,
}

/// What a field's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    /// Keywords under names that nobody can list beforehand but that are few:
    /// an object whose members the index maps as they come.
    KeywordMap,
    /// Names and values that nobody can list beforehand: one field of the
    /// index, however many there are.
    FlatObject,
}

impl Kind {
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

/// Makes a constant of each name and a row of [`FIELDS`] of each field, so
/// that neither can be without the other.
macro_rules! fields {
    ($($constant:ident $name:literal $kind:ident $meaning:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            pub const $constant: &str = $name;
        )*

        /// Every field, in the order of the documentation.
        pub const FIELDS: &[Field] = &[
            $(Field { name: $constant, kind: Kind::$kind, meaning: $meaning },)*
        ];
    };
}

fields! {
    TIMESTAMP "@timestamp" DateNanos "When it happened, UTC: by the program's clock where its line tells, else by the container runtime's."
    LEVEL "level" Keyword "`error`, `warn`, `info`, `debug` or `trace`."
    MESSAGE "message" Text "What happened, for people."
    COMPONENT "component" Keyword "Whose line it is: `irmgard`, `anonymizer`, `postgres`, `rabbitmq`, `object-store`, …"
    SERVICE_NAME "service.name" Keyword "The program's name, as in its traces."
    SERVICE_VERSION "service.version" Keyword "The program's version."
    TRACE_ID "trace_id" Keyword "The trace (32 hex digits): one from the POST through the queue to the output. On every line within a request or a job, sampled or not."
    SPAN_ID "span_id" Keyword "The span within the trace (16 hex digits)."
    TARGET "target" Keyword "The module of the program that wrote the line."
    TRUNCATED "truncated" Boolean "True where values were cut or left out: so that the line stays under 16 KiB, or the document can be indexed."
    TAGS "tags" Keywords "What went wrong with the line on its way, or is special about it."
    LOG_IOSTREAM "log.iostream" Keyword "`stdout` or `stderr`."
    EVENT_ID "event.id" Keyword "The line's id, the same whichever way the line came; also the document's `_id`."
    EVENT_START "event.start" Date "When what the line is about happened, where the line came later."
    EVENT_INGESTED "event.ingested" Date "When OpenSearch took it, by OpenSearch's clock."

    KUBERNETES_NAMESPACE "kubernetes.namespace" Keyword "The pod's namespace."
    KUBERNETES_POD "kubernetes.pod" Keyword "The pod's name."
    KUBERNETES_POD_UID "kubernetes.pod_uid" Keyword "The pod's uid."
    KUBERNETES_CONTAINER "kubernetes.container" Keyword "The container's name."
    KUBERNETES_NODE "kubernetes.node" Keyword "The node's name."
    KUBERNETES_LABELS "kubernetes.labels" KeywordMap "The pod's labels `app.kubernetes.io/…` and `irmgard.dev/…`; in their names each `.` is `_`."
    KUBERNETES_OTHER_LABELS "kubernetes.other_labels" FlatObject "The pod's other labels; their names keep their dots."

    PHOTO_ID "photo.id" Long "The photo's number."
    PHOTO_MEDIA_TYPE "photo.media_type" Keyword "`image/jpeg`, `image/png` or `image/webp`, by content."
    PHOTO_SIZE_BYTES "photo.size_bytes" Long "The original's size in bytes."
    PHOTO_WIDTH_PIXELS "photo.width_pixels" Long "The photo's width in pixels."
    PHOTO_HEIGHT_PIXELS "photo.height_pixels" Long "The photo's height in pixels."
    LIMIT "limit" Long "The limit that a refused photo exceeds: bytes, pixels, or pixels of one side."
    PHOTO_STATUS "photo.status" Keyword "`received`, `queued`, `anonymized` or `failed`."
    GIVEN_ID "given.id" Long "The number that the given web service gave its photo; not one of ours."
    PROJECT "project" Keyword "The timelapse project's name."
    TOKEN_NAME "token.name" Keyword "The name of the token that the client showed; never the token."
    USER_NAME "user.name" Keyword "The person who used a command."

    OUTCOME "outcome" Keyword "How a request or a job ended."
    DURATION_SECONDS "duration_seconds" Double "How long it took."
    FAILURE_REASON "failure.reason" Keyword "Stable code of why a photo could not be anonymised."
    FAILURE_DETAIL "failure.detail" Text "The same, for people."
    ATTEMPT "attempt" Long "Which try it was, from 1."
    RETRY_AFTER_SECONDS "retry_after_seconds" Double "When the next try comes."
    COUNT "count" Long "How many the line is about."
    OUTBOX_OLDEST_AGE_SECONDS "outbox.oldest_age_seconds" Double "How long the oldest job has waited in the outbox."
    SWEEP_AGE_SECONDS "sweep.age_seconds" Double "How long ago `irmgard sweep` ran last as a scheduled job."
    REASON "reason" Keyword "Why, as a stable code or a few words."
    ACTION "action" Keyword "What a person did to a photo: `list`, `export`, `requeue`, `delete`."
    STEP "step" Keyword "The step of a job that is tried again."
    LINK "link" Keyword "The connection to the broker: what it is for."
    SIGNAL "signal" Keyword "The signal that ends the program."
    CONCURRENCY "concurrency" Long "Photos that are worked on at once."
    MEMORY_BYTES "memory_bytes" Long "Memory that photos in work may take."
    KIND "kind" Keyword "What kind of thing it is."
    ADDRESS "address" Keyword "The address that requests are taken on."
    ADMIN "admin" Keyword "The address of probes and metrics."
    SCHEMA_BEFORE "schema.before" Long "The database schema's version before a migration."
    SCHEMA_AFTER "schema.after" Long "The database schema's version after it."

    STAGE_GET_SECONDS "stage.get_seconds" Double "Reading the original from the object store."
    STAGE_DECODE_SECONDS "stage.decode_seconds" Double "Decoding the photo, orientation applied."
    STAGE_DETECT_SECONDS "stage.detect_seconds" Double "Finding people, faces and vehicles."
    STAGE_OBSCURE_SECONDS "stage.obscure_seconds" Double "Obscuring what was found."
    STAGE_CHECK_SECONDS "stage.check_seconds" Double "Looking at the obscured photo."
    STAGE_ENCODE_SECONDS "stage.encode_seconds" Double "Encoding the JPEG."
    STAGE_PUT_SECONDS "stage.put_seconds" Double "Writing the output to the object store."
    STAGE_PUBLISH_SECONDS "stage.publish_seconds" Double "Publishing the result until it is confirmed."
    STAGE_DELETE_SECONDS "stage.delete_seconds" Double "Deleting the original."
    OUTPUT_SIZE_BYTES "output.size_bytes" Long "The anonymised photo's size in bytes."
    DETECTIONS_PERSON "detections.person" Long "People found."
    DETECTIONS_FACE "detections.face" Long "Faces found."
    DETECTIONS_BICYCLE "detections.bicycle" Long "Bicycles found."
    DETECTIONS_CAR "detections.car" Long "Cars found."
    DETECTIONS_MOTORCYCLE "detections.motorcycle" Long "Motorcycles found."
    DETECTIONS_BUS "detections.bus" Long "Buses found."
    DETECTIONS_TRUCK "detections.truck" Long "Trucks found."
    SECOND_LOOK_CANDIDATES "second_look.candidates" Long "Unsure candidates that the detector looked at again."
    SECOND_LOOK_DROPPED "second_look.dropped" Long "Of these, those that were dropped."
    SECOND_LOOK_LEFT_OUT "second_look.left_out" Long "Unsure candidates for which the budget did not suffice; they are hidden."
    CHECK_STILL_VISIBLE "check.still_visible" Long "People and faces seen in the obscured photo; they were hidden then."

    HTTP_REQUEST_METHOD "http.request.method" Keyword "The request's method."
    HTTP_ROUTE "http.route" Keyword "The route that answered, with its placeholders; never the path itself."
    HTTP_RESPONSE_STATUS_CODE "http.response.status_code" Long "The answer's status."
    HTTP_REQUEST_BODY_SIZE "http.request.body.size" Long "Bytes of the request's body that were read."
    HTTP_RESPONSE_BODY_SIZE "http.response.body.size" Long "Bytes of the answer's body."
    PROBLEM_CODE "problem.code" Keyword "Stable code of the error that the client was told."
    SERVER_ADDRESS "server.address" Keyword "The server that is spoken to, or the address listened on."
    SERVER_PORT "server.port" Long "Its port."

    MESSAGING_SYSTEM "messaging.system" Keyword "`rabbitmq`."
    MESSAGING_DESTINATION_NAME "messaging.destination.name" Keyword "The queue."
    MESSAGING_MESSAGE_ID "messaging.message.id" Keyword "The message's id."
    MESSAGING_MESSAGE_BODY_SIZE "messaging.message.body.size" Long "The message's size in bytes."
    MESSAGING_DELIVERY_COUNT "messaging.delivery_count" Long "How often the message had been delivered before."
    MESSAGING_CLIENT_ID "messaging.client.id" Keyword "The name that a client gave its connection."
    CLIENT_ADDRESS "client.address" Keyword "Who is connected, or sent a request that was refused; `[local]` through a socket of the same machine."
    CLIENT_PORT "client.port" Long "Its port."
    DB_SYSTEM_NAME "db.system.name" Keyword "`postgresql`."
    DB_NAMESPACE "db.namespace" Keyword "The database's name."
    DB_QUERY_TEXT "db.query.text" Text "The statement, without its parameters."
    DB_RESPONSE_STATUS_CODE "db.response.status_code" Keyword "SQLSTATE."
    POSTGRESQL_SEVERITY "postgresql.severity" Keyword "PostgreSQL's own level: `LOG`, `NOTICE`, `FATAL`, …"
    POSTGRESQL_USER "postgresql.user" Keyword "The database user."
    POSTGRESQL_APPLICATION_NAME "postgresql.application_name" Keyword "What the client calls itself; of ours the name and the trace id."
    POSTGRESQL_BACKEND_TYPE "postgresql.backend_type" Keyword "What kind of process wrote the line."
    POSTGRESQL_SESSION_ID "postgresql.session_id" Keyword "The session."
    POSTGRESQL_LINE_NUMBER "postgresql.line_number" Long "The line's number within the session."
    POSTGRESQL_QUERY_ID "postgresql.query_id" Keyword "The statement's id without its constants."
    POSTGRESQL_DETAIL "postgresql.detail" Text "DETAIL of the message."
    POSTGRESQL_HINT "postgresql.hint" Text "HINT of the message."
    POSTGRESQL_CONTEXT "postgresql.context" Text "CONTEXT of the message."
    POSTGRESQL_INTERNAL_QUERY "postgresql.internal_query" Text "The statement within a function that failed."
    POSTGRESQL_PS "postgresql.ps" Keyword "What the process was doing."
    POSTGRESQL_VIRTUAL_TRANSACTION_ID "postgresql.virtual_transaction_id" Keyword "The transaction's virtual id."
    POSTGRESQL_TRANSACTION_ID "postgresql.transaction_id" Long "The transaction's id, once it has written."
    RABBITMQ_DOMAIN "rabbitmq.domain" Keyword "Which part of the broker wrote the line."
    RABBITMQ_PID "rabbitmq.pid" Keyword "The Erlang process that wrote the line."
    RABBITMQ_CONNECTION_PID "rabbitmq.connection.pid" Keyword "The Erlang process of the connection that the line is about."
    OBJECT_BUCKET "object.bucket" Keyword "The bucket of an object."
    OBJECT_LOCATION "object.location" Keyword "Where an object of ours lies: `s3://bucket/key`."
    OBJECT_KEY "object.key" Keyword "The key of an object of ours."

    ERROR_TYPE "error.type" Keyword "What kind of error it is."
    ERROR_MESSAGE "error.message" Text "The error with its causes; a field `error` is written here."
    EXCEPTION_STACKTRACE "exception.stacktrace" Text "Where it happened, for a panic with RUST_BACKTRACE set."
    CODE_FILE_PATH "code.file.path" Keyword "The source file."
    CODE_LINE_NUMBER "code.line.number" Long "The line in the source file."
    CODE_FUNCTION_NAME "code.function.name" Keyword "The function."
    THREAD_NAME "thread.name" Keyword "The thread."
    PROCESS_PID "process.pid" Long "The process's id."
    PROCESS_EXIT_CODE "process.exit.code" Long "What a child process ended with."
    FIELDS_OTHER "fields" FlatObject "What has no place among the names above: members of other programs' lines, and values that contradict this table."
}

/// Whether other fields are nested in one of this name, so that a value of
/// its own would contradict them in an index.
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
        assert_eq!(by_name(PHOTO_ID).map(|field| field.kind), Some(Kind::Long));
        assert_eq!(by_name("photo"), None);
    }

    #[test]
    fn no_name_stands_twice() {
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
    fn no_field_is_an_object_of_another() {
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
