-- Roles: who may do what.
--
--   mailroom_owner        owns what is Mailroom's, and is what its triggers run as
--   mailroom_collector    claims, and looks after what others held; reads what is on a line
--   mailroom_sender       begins and settles; reads neither codes nor logins
--   mailroom_application  signs up, uses tokens up, and looks at what became of its mail
--   mailroom_operator     looks at everything but secrets, codes and what they sign in with; puts mail
--                         right that went wrong; forgets the old
--
-- None can log in; give them to roles that can. They belong to the whole server: this database takes
-- those that are there already. Whoever migrates and may not make roles, or not give tables away, is
-- warned and keeps everything. It is made up for in two steps: somebody who may makes the five roles
-- and grants mailroom_owner to the one who migrated, who then calls mailroom_roles().
BEGIN;

-- Run by the one who migrates, never by somebody with more rights: it is not theirs. Locks nothing
-- when there is nothing to change.
CREATE FUNCTION mailroom_roles() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    schema CONSTANT text := (
        SELECT c.relnamespace::regnamespace::text FROM pg_catalog.pg_class AS c
        WHERE c.oid = 'deliveries'::regclass
    );
    -- Who migrates, also when a superuser stands in.
    migrator CONSTANT name := (
        SELECT r.rolname FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
        WHERE c.oid = 'accounts'::regclass
    );
    acts_as CONSTANT text := CASE
        WHEN pg_catalog.current_setting('server_version_num'::text)::integer >= 160000
        THEN 'SET' ELSE 'MEMBER'
    END;
    role name;
    thing text[];
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'mailroom_owner', 'mailroom_collector', 'mailroom_sender', 'mailroom_application',
        'mailroom_operator'
    ]::name[] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = role);
        BEGIN
            EXECUTE pg_catalog.format('CREATE ROLE %I', role);
        EXCEPTION
            -- Another database of this server is being migrated, too.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'Mailroom''s roles are not made, everything stays yours: %', SQLERRM
                    USING HINT = 'docs/SCHEMA.md, Rights, says what a superuser does first';
                RETURN;
        END;
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r
        WHERE r.rolname = 'mailroom_owner'::name AND (r.rolsuper OR r.rolcreaterole)
    ) THEN
        RAISE EXCEPTION 'the role mailroom_owner, which is there already, may do too much'
            USING HINT = 'ALTER ROLE mailroom_owner NOSUPERUSER NOCREATEROLE, or rename it';
    END IF;

    EXECUTE pg_catalog.format(
        'GRANT USAGE ON SCHEMA %s
            TO mailroom_owner, mailroom_collector, mailroom_sender, mailroom_application,
                mailroom_operator', schema
    );

    -- What the triggers, and those who count, read. FOR SHARE asks for the right to change some column.
    GRANT SELECT (id, status), UPDATE (status_changed_at) ON accounts TO mailroom_owner;
    GRANT SELECT (id, account, action, expires_at, consumed_at, created_at) ON tokens
        TO mailroom_owner;

    GRANT SELECT (id, email, login, status) ON accounts TO mailroom_collector;
    GRANT SELECT (id, account, action, secret, code, expires_at, consumed_at) ON tokens
        TO mailroom_collector;
    GRANT SELECT ON actions, jobs TO mailroom_collector;
    GRANT UPDATE (last_seq) ON jobs TO mailroom_collector;
    GRANT SELECT, DELETE,
        UPDATE (due_at, dispatched_at, state, holder, dispatches, ambiguities)
        ON deliveries TO mailroom_collector;
    -- What it says of itself to `mailroom ready`: whether anything was sent lately.
    GRANT INSERT (token, action, promised_at, attempt, outcome, detail), SELECT (at, outcome)
        ON delivery_log TO mailroom_collector;
    GRANT SELECT, DELETE, INSERT (kind, host, pid, version), UPDATE (missing_since) ON holders
        TO mailroom_collector;

    GRANT SELECT (id, email, status, locale) ON accounts TO mailroom_sender;
    GRANT SELECT (id, account, action, secret, data, expires_at, consumed_at) ON tokens
        TO mailroom_sender;
    GRANT SELECT ON actions TO mailroom_sender;
    GRANT SELECT, DELETE,
        UPDATE (due_at, dispatched_at, state, holder, attempts, dispatches, ambiguities)
        ON deliveries TO mailroom_sender;
    GRANT SELECT,
        INSERT (token, action, promised_at, attempt, outcome, transport, provider_id, detail)
        ON delivery_log TO mailroom_sender;
    GRANT SELECT, INSERT (kind, host, pid, version) ON holders TO mailroom_sender;

    GRANT SELECT, INSERT, UPDATE, DELETE ON accounts TO mailroom_application;
    GRANT SELECT, INSERT, DELETE, UPDATE (expires_at, consumed_at) ON tokens
        TO mailroom_application;
    GRANT USAGE ON SEQUENCE accounts_id_seq, tokens_id_seq TO mailroom_application;
    GRANT SELECT ON actions, delivery_log, delivery_status TO mailroom_application;

    GRANT SELECT (id, email, login, status, locale, created_at) ON accounts TO mailroom_operator;
    GRANT SELECT (id, account, action, expires_at, consumed_at, created_at), UPDATE (expires_at)
        ON tokens TO mailroom_operator;
    GRANT SELECT ON actions, jobs, holders, delivery_status, delivery_totals, delivery_totals_until
        TO mailroom_operator;
    GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO mailroom_operator;
    GRANT SELECT, INSERT, DELETE ON delivery_log TO mailroom_operator;

    -- Everybody can see whether the schema is theirs. (psql keeps no such table.)
    IF to_regclass('schema_migrations'::text) IS NOT NULL THEN
        GRANT SELECT ON schema_migrations TO mailroom_collector, mailroom_sender,
            mailroom_application, mailroom_operator;
    END IF;

    -- A dump without privileges has forgotten this.
    REVOKE EXECUTE ON FUNCTION mailroom_hold_accounts(bigint[]), trg_after_token_inserted(),
        trg_after_account_status_change(), mailroom_count_log(),
        mailroom_purge(timestamptz, timestamptz, integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION mailroom_hold_accounts(bigint[]) TO mailroom_collector;
    GRANT EXECUTE ON FUNCTION mailroom_count_log(),
        mailroom_purge(timestamptz, timestamptz, integer) TO mailroom_collector, mailroom_operator;

    -- What runs with its owner's rights shall have few: not those of a superuser who migrated.
    BEGIN
        IF NOT pg_catalog.pg_has_role(migrator, 'mailroom_owner'::name, acts_as) THEN
            EXECUTE pg_catalog.format('GRANT mailroom_owner TO %I', migrator);
        END IF;
        IF NOT pg_catalog.pg_has_role(migrator, 'mailroom_owner'::name, 'USAGE'::text) THEN
            RAISE insufficient_privilege
                USING MESSAGE = pg_catalog.format('%s does not inherit what mailroom_owner may', migrator);
        END IF;
        FOREACH thing SLICE 1 IN ARRAY ARRAY[
            ['TABLE', 'actions'], ['TABLE', 'deliveries'], ['TABLE', 'delivery_log'],
            ['TABLE', 'holders'], ['VIEW', 'delivery_status'], ['TABLE', 'delivery_totals'],
            ['TABLE', 'delivery_totals_until']
        ] LOOP
            CONTINUE WHEN (
                SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = thing[2]::regclass
            ) = 'mailroom_owner'::regrole::oid;
            -- Accounts before tokens before ours, the order of a sign-up.
            LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE;
            LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE;
            EXECUTE pg_catalog.format('GRANT CREATE ON SCHEMA %s TO mailroom_owner', schema);
            EXECUTE pg_catalog.format('ALTER %s %s OWNER TO mailroom_owner', thing[1], thing[2]);
        END LOOP;
        FOREACH thing SLICE 1 IN ARRAY ARRAY[
            ['mailroom_hold_accounts(bigint[])'], ['trg_after_token_inserted()'],
            ['trg_after_account_status_change()'], ['mailroom_count_log()'],
            ['mailroom_purge(timestamptz, timestamptz, integer)']
        ] LOOP
            CONTINUE WHEN (
                SELECT p.proowner FROM pg_catalog.pg_proc AS p WHERE p.oid = thing[1]::regprocedure
            ) = 'mailroom_owner'::regrole::oid;
            EXECUTE pg_catalog.format('GRANT CREATE ON SCHEMA %s TO mailroom_owner', schema);
            EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO mailroom_owner', thing[1]);
        END LOOP;
        EXECUTE pg_catalog.format('REVOKE CREATE ON SCHEMA %s FROM mailroom_owner', schema);
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'Mailroom''s tables and triggers stay yours: %', SQLERRM
            USING HINT = 'docs/SCHEMA.md, Rights, says what a superuser does first';
    END;
END
$$;

DO $$
BEGIN
    EXECUTE pg_catalog.format(
        'ALTER FUNCTION mailroom_roles() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
    EXECUTE 'REVOKE EXECUTE ON FUNCTION mailroom_roles() FROM PUBLIC';
END
$$;

SELECT mailroom_roles();

COMMIT;
