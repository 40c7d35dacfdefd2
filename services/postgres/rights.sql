-- Runs in the database irmgard. Only its owner may create objects.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO irmgard_migrate;
GRANT USAGE ON SCHEMA public TO irmgard;
