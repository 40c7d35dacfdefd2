-- Run in the database irmgard: nobody but its owner makes objects there.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO irmgard_migrate;
GRANT USAGE ON SCHEMA public TO irmgard;
