-- Migrate: gives old rows a value, a thousand ids per transaction. No row is locked for long, and the script may stop anywhere and
-- run again. Run it when no program of the previous release runs:
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
