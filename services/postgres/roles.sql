-- Creates the roles and the database. Runs in the database postgres as a superuser; irmgard-roles sets SECRETS.
\set migrate `cat "$SECRETS/migrate-password"`
\set runtime `cat "$SECRETS/runtime-password"`
\set replication `cat "$SECRETS/replication-password"`
\set rewind `cat "$SECRETS/rewind-password"`

SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['irmgard', 'irmgard_migrate', 'replicator', 'rewind']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- Owns the tables: `irmgard migrate`.
ALTER ROLE irmgard_migrate LOGIN PASSWORD :'migrate' CONNECTION LIMIT 10;
-- For `irmgard serve`, `sweep`, `bind` and `failed`. Reads and writes rows; `irmgard migrate` grants the rights.
ALTER ROLE irmgard LOGIN PASSWORD :'runtime';
-- For standbys.
ALTER ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
-- For pg_rewind, with the rights from its manual.
ALTER ROLE rewind LOGIN PASSWORD :'rewind' CONNECTION LIMIT 3;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO rewind;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO rewind;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO rewind;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO rewind;

SELECT 'CREATE DATABASE irmgard OWNER irmgard_migrate'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'irmgard')
\gexec
REVOKE ALL ON DATABASE irmgard FROM PUBLIC;
GRANT CONNECT ON DATABASE irmgard TO irmgard;

-- Patroni checks the server every few seconds. Do not log these statements.
ALTER ROLE postgres SET log_min_duration_statement = -1;
