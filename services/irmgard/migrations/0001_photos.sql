-- Photos, the outbox of job messages and the keys of repeated uploads.
--
-- Every program that reads these tables names its columns, so that it goes on
-- working while the next version's migration adds some.

-- Drawn before the original is stored, because the object's key holds the id.
CREATE SEQUENCE photo_id_seq AS bigint;

CREATE TABLE photo (
    id                 bigint PRIMARY KEY DEFAULT nextval('photo_id_seq') CHECK (id > 0),
    project            text NOT NULL,
    -- The file name that the camera gave; for people, never a path.
    name               text NOT NULL,
    -- received: stored, its job not yet confirmed by the broker.
    -- queued: the broker has the job. anonymized: final. failed: a person must look.
    status             text NOT NULL DEFAULT 'received'
                       CHECK (status IN ('received', 'queued', 'anonymized', 'failed')),
    received_at        timestamptz NOT NULL DEFAULT now(),
    taken_at           timestamptz NOT NULL,
    taken_at_source    text NOT NULL CHECK (taken_at_source IN ('client', 'exif', 'received')),
    media_type         text NOT NULL,
    size_bytes         bigint NOT NULL CHECK (size_bytes >= 0),
    -- As the header says, before EXIF orientation.
    width              integer NOT NULL CHECK (width > 0),
    height             integer NOT NULL CHECK (height > 0),
    sha256             bytea NOT NULL CHECK (octet_length(sha256) = 32),
    -- s3://bucket/key, whose key holds this id. Null once a person deleted the original of a failed photo, or once
    -- it was found to be gone when the camera posted the photo anew. It never comes back.
    original           text CHECK (original IS NOT NULL OR status IN ('failed', 'anonymized')),
    -- The name of the token; null where no tokens are in use.
    uploaded_by        text,
    traceparent        text,
    queued_at          timestamptz,
    finished_at        timestamptz,
    output             text CHECK (output IS NOT NULL OR status <> 'anonymized'),
    output_size_bytes  bigint,
    output_width       integer,
    output_height      integer,
    detections         jsonb,
    processing_seconds double precision,
    failure_reason     text CHECK (failure_reason IS NOT NULL OR status <> 'failed'),
    failure_detail     text
);
ALTER SEQUENCE photo_id_seq OWNED BY photo.id;

-- The same picture at the same time is the same photo. Where the time is only
-- that of the arrival, it says nothing about the picture. A photo that has lost
-- its original stands in nobody's way: posted anew, the picture is a new photo.
-- That must not hang on the status, which a late result can still change.
CREATE UNIQUE INDEX photo_once ON photo (project, sha256, taken_at)
    WHERE taken_at_source <> 'received' AND original IS NOT NULL;

-- Keyset pages, newest first.
CREATE INDEX photo_project ON photo (project, id DESC);
CREATE INDEX photo_project_status ON photo (project, status, id DESC);

-- The reconciler's and `irmgard failed`'s ways in: few rows of many.
CREATE INDEX photo_queued ON photo (queued_at) WHERE status = 'queued';
CREATE INDEX photo_received ON photo (received_at) WHERE status = 'received';
CREATE INDEX photo_failed ON photo (id) WHERE status = 'failed';

CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    photo_id     bigint NOT NULL REFERENCES photo ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    traceparent  text,
    -- Until then the row is a relay's that publishes it, or rests after a failure.
    leased_until timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    last_error   text
);
CREATE INDEX outbox_photo ON outbox (photo_id);
-- A queue in a table: every row is updated and deleted soon after its birth.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

CREATE TABLE idempotency_key (
    project     text NOT NULL,
    -- The token's name; empty where no tokens are in use.
    uploaded_by text NOT NULL DEFAULT '',
    key         text NOT NULL,
    sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32),
    photo_id    bigint NOT NULL REFERENCES photo ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, uploaded_by, key)
);
CREATE INDEX idempotency_key_created ON idempotency_key (created_at);
CREATE INDEX idempotency_key_photo ON idempotency_key (photo_id);

-- Who looked at, exported, queued again or deleted which failed photo: what
-- `irmgard failed` did. A command that is run by hand inside a container
-- writes to a terminal, where nobody keeps it: the web service logs what
-- stands here.
CREATE TABLE failed_photo_use (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    who      text NOT NULL,
    action   text NOT NULL CHECK (action IN ('list', 'export', 'requeue', 'delete')),
    -- Not a reference: the account outlives the photo. Null where none was named.
    photo_id bigint,
    -- Whether a web service has logged it.
    logged   boolean NOT NULL DEFAULT false
);
CREATE INDEX failed_photo_use_unlogged ON failed_photo_use (id) WHERE NOT logged;
