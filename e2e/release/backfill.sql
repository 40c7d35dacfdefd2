-- Migrate: rows from before the expansion get a value. A thousand ids at a time, each in a transaction of its own: no row is locked
-- for long, and it may be stopped and run again. To be run when no program of the version before runs any more:
--
--     primary=$(kubectl get pod -n irmgard -l app.kubernetes.io/name=postgres,role=primary -o name)
--     kubectl exec -i -n irmgard "$primary" -c postgres -- psql -h /run/postgresql -U postgres -d irmgard -v ON_ERROR_STOP=1 < backfill.sql
SET ROLE irmgard_migrate;
DO $$
DECLARE
    reached bigint := 0;
    last bigint := (SELECT coalesce(max(id), 0) FROM photo);
BEGIN
    WHILE reached < last LOOP
        UPDATE photo SET received_by = 'unknown'
         WHERE id > reached AND id <= reached + 1000 AND received_by IS NULL;
        COMMIT;
        reached := reached + 1000;
    END LOOP;
END
$$;
