-- Back to one role that does everything. The roles themselves stay, without rights in this database:
-- they belong to the whole server, and other databases may need them.
BEGIN;

DO $$
DECLARE
    schema CONSTANT text := (
        SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'deliveries'::regclass
    );
    -- Whom everything belonged to before, also when a superuser migrates.
    migrator CONSTANT name := (
        SELECT r.rolname FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
        WHERE c.oid = 'accounts'::regclass
    );
    role name;
    thing text;
BEGIN
    FOREACH thing IN ARRAY ARRAY[
        'TABLE actions', 'TABLE deliveries', 'TABLE delivery_log', 'TABLE holders',
        'TABLE delivery_totals', 'TABLE delivery_totals_until', 'VIEW delivery_status',
        'FUNCTION mailroom_hold_accounts(bigint[])', 'FUNCTION trg_after_token_inserted()',
        'FUNCTION trg_after_account_status_change()', 'FUNCTION mailroom_count_log()',
        'FUNCTION mailroom_purge(timestamptz, timestamptz, integer)'
    ] LOOP
        EXECUTE pg_catalog.format('ALTER %s OWNER TO %I', thing, migrator);
    END LOOP;

    FOR role IN
        SELECT r.rolname FROM pg_roles AS r WHERE r.rolname IN (
            'mailroom_owner', 'mailroom_collector', 'mailroom_sender', 'mailroom_application',
            'mailroom_operator'
        ) AND r.rolname <> migrator
    LOOP
        EXECUTE pg_catalog.format(
            'REVOKE ALL ON accounts, tokens, jobs, actions, deliveries, delivery_log, holders,
                delivery_status, delivery_totals, delivery_totals_until, accounts_id_seq,
                tokens_id_seq FROM %1$I;
             REVOKE ALL ON FUNCTION mailroom_hold_accounts(bigint[]), mailroom_count_log(),
                mailroom_purge(timestamptz, timestamptz, integer) FROM %1$I;
             REVOKE ALL ON SCHEMA %2$s FROM %1$I', role, schema
        );
        IF to_regclass('schema_migrations') IS NOT NULL THEN
            EXECUTE pg_catalog.format('REVOKE ALL ON schema_migrations FROM %I', role);
        END IF;
    END LOOP;
END
$$;

DROP FUNCTION mailroom_roles();

COMMIT;
