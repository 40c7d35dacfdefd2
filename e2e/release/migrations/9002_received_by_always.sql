-- no-transaction
-- Contract: every photo names the instance that accepted it. No lock is held for long: the rows are read between two short locks,
-- each in its own transaction. The migration may stop anywhere and run again.

DO $$
BEGIN
    IF EXISTS (SELECT FROM photo WHERE received_by IS NULL) THEN
        RAISE EXCEPTION 'photos without received_by: run the backfill first, when no program of the previous release runs';
    END IF;
END
$$;

BEGIN;
SET LOCAL lock_timeout = '2s';
ALTER TABLE photo DROP CONSTRAINT IF EXISTS photo_received_by;
ALTER TABLE photo ADD CONSTRAINT photo_received_by CHECK (received_by IS NOT NULL) NOT VALID;
COMMIT;

-- Reads all rows. It blocks neither reads nor writes.
BEGIN;
ALTER TABLE photo VALIDATE CONSTRAINT photo_received_by;
COMMIT;

-- Reads no row: the constraint proves that no value is null.
BEGIN;
SET LOCAL lock_timeout = '2s';
ALTER TABLE photo ALTER COLUMN received_by SET NOT NULL;
ALTER TABLE photo DROP CONSTRAINT photo_received_by;
COMMIT;
