-- Expand: the instance of the web service that accepted a photo, by its address. The previous release does not know the column and
-- leaves it null.

-- The table is locked only for a moment. But a statement that waits for the lock blocks all later ones, so it must fail soon; the Job
-- retries.
SET LOCAL lock_timeout = '2s';
ALTER TABLE photo ADD COLUMN received_by text;
