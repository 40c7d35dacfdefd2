-- Which database this is, and what `irmgard sweep` did.

-- The marker object in the input bucket names the id: `irmgard sweep` deletes nothing where the two differ.
CREATE TABLE installation (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A marker with this id was written: one that is missing now means another bucket.
    bound      boolean NOT NULL DEFAULT false,
    -- Photos up to this id may have lost their rows: the database was restored, or made anew.
    lost_up_to bigint NOT NULL DEFAULT 0
);
INSERT INTO installation DEFAULT VALUES;

-- A run of `irmgard sweep`, which is a process of its own: the web service makes metrics and log lines of the newest.
CREATE TABLE sweep_run (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    -- Whether it was told to delete.
    deletes   boolean NOT NULL,
    -- Why it deleted nothing, or not everything.
    error     text,
    -- What is left, by kind: {"no-photo": 2}.
    left_over jsonb NOT NULL
);
