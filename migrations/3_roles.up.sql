-- Roles: who may do what.
--
--   mailroom_owner        owns what is Mailroom's, and is what its triggers run as
--   mailroom_collector    claims, and looks after what others held; reads what is on a line
--   mailroom_sender       begins and settles; reads neither codes nor logins
--   mailroom_application  signs up, uses tokens up, and looks at what became of its mail
--
-- None can log in; give them to roles that can. They belong to the whole server: this database takes
-- those that are there already. Whoever migrates and may not make roles, or not give tables away, is
-- warned and keeps everything; SELECT mailroom_roles(), as somebody who may, makes up for it.
BEGIN;

CREATE FUNCTION mailroom_roles() RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    schema CONSTANT text := (
        SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'deliveries'::regclass
    );
    role name;
    thing text;
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'mailroom_owner', 'mailroom_collector', 'mailroom_sender', 'mailroom_application'
    ] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role);
        BEGIN
            EXECUTE format('CREATE ROLE %I', role);
        EXCEPTION
            -- Another database of this server is being migrated, too.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'the role % is missing: %', role, SQLERRM
                    USING HINT = 'SELECT mailroom_roles() as a role that has CREATEROLE';
                RETURN;
        END;
    END LOOP;

    EXECUTE format(
        'GRANT USAGE ON SCHEMA %s
            TO mailroom_owner, mailroom_collector, mailroom_sender, mailroom_application', schema
    );

    -- What the triggers read. FOR SHARE asks for the right to change some column.
    GRANT SELECT (id, status), UPDATE (status_changed_at) ON accounts TO mailroom_owner;
    GRANT SELECT (id, account, action, expires_at, consumed_at) ON tokens TO mailroom_owner;

    GRANT SELECT (id, email, login, status) ON accounts TO mailroom_collector;
    GRANT SELECT (id, account, action, secret, code, expires_at, consumed_at) ON tokens
        TO mailroom_collector;
    GRANT SELECT ON actions, jobs TO mailroom_collector;
    GRANT UPDATE (last_seq) ON jobs TO mailroom_collector;
    GRANT SELECT, UPDATE, DELETE ON deliveries TO mailroom_collector;
    GRANT INSERT ON delivery_log TO mailroom_collector;
    GRANT SELECT, DELETE, INSERT (kind, host, pid, version), UPDATE (missing_since) ON holders
        TO mailroom_collector;
    GRANT EXECUTE ON FUNCTION mailroom_hold_accounts(bigint[]) TO mailroom_collector;

    GRANT SELECT (id, email, status) ON accounts TO mailroom_sender;
    GRANT SELECT (id, account, action, secret, expires_at, consumed_at) ON tokens
        TO mailroom_sender;
    GRANT SELECT ON actions TO mailroom_sender;
    GRANT SELECT, UPDATE, DELETE ON deliveries TO mailroom_sender;
    GRANT SELECT, INSERT ON delivery_log TO mailroom_sender;
    GRANT SELECT, INSERT (kind, host, pid, version) ON holders TO mailroom_sender;

    GRANT SELECT, INSERT, UPDATE, DELETE ON accounts TO mailroom_application;
    GRANT SELECT, INSERT, DELETE, UPDATE (expires_at, consumed_at) ON tokens
        TO mailroom_application;
    GRANT USAGE ON SEQUENCE accounts_id_seq, tokens_id_seq TO mailroom_application;
    GRANT SELECT ON actions, delivery_log, delivery_status TO mailroom_application;

    -- What runs with its owner's rights shall have few: not those of a superuser who migrated.
    BEGIN
        -- From PostgreSQL 16 on, who made a role is a member that may not act as it.
        IF NOT pg_has_role('mailroom_owner', CASE
            WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER'
        END) THEN
            GRANT mailroom_owner TO CURRENT_USER;
        END IF;
        EXECUTE format('GRANT CREATE ON SCHEMA %s TO mailroom_owner', schema);
        FOREACH thing IN ARRAY ARRAY[
            'TABLE actions', 'TABLE deliveries', 'TABLE delivery_log', 'TABLE holders',
            'VIEW delivery_status', 'FUNCTION mailroom_hold_accounts(bigint[])',
            'FUNCTION trg_after_token_inserted()', 'FUNCTION trg_after_account_status_change()'
        ] LOOP
            EXECUTE format('ALTER %s OWNER TO mailroom_owner', thing);
        END LOOP;
        EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM mailroom_owner', schema);
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'Mailroom''s tables and triggers stay yours: %', SQLERRM
            USING HINT = 'SELECT mailroom_roles() as a superuser gives them to mailroom_owner';
    END;
END
$$;

SELECT mailroom_roles();

COMMIT;
