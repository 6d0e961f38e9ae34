-- Deliveries: what is outstanding, what happened, and who holds it.
--
-- One transaction: it keeps writers out of tokens, makes the triggers, and gives a delivery to every
-- token that the original collector has not handed over yet. Stop the original collector first.
BEGIN;

-- Accounts before tokens, the order in which a sign-up takes them.
LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE;

-- Kinds of mail ------------------------------------------------------------------------------------

CREATE TABLE actions (
    action      token_action     PRIMARY KEY,
    number      smallint         NOT NULL UNIQUE,
    path        text             NOT NULL UNIQUE,
    code_signed boolean          NOT NULL DEFAULT false,
    statuses    account_status[] NOT NULL,
    priority    smallint         NOT NULL DEFAULT 5,
    queue       job_type         NOT NULL DEFAULT 'mailroom' REFERENCES jobs,
    CONSTRAINT an_action_number_is_positive CHECK (number > 0),
    CONSTRAINT a_priority_is_not_negative CHECK (priority >= 0),
    CONSTRAINT an_action_path_starts_with_a_slash CHECK (path ~ '^/[!-~]{1,63}$'),
    CONSTRAINT an_action_has_an_account_status_it_may_be_sent_to CHECK (cardinality(statuses) > 0)
);

COMMENT ON TABLE actions IS 'One row per kind of mail';
COMMENT ON COLUMN actions.number IS 'The action on the wire';
COMMENT ON COLUMN actions.path IS 'What the signature binds a token to';
COMMENT ON COLUMN actions.code_signed IS 'Whether the signature covers the code too';
COMMENT ON COLUMN actions.statuses IS 'The account statuses that may receive it';
COMMENT ON COLUMN actions.priority IS 'Lower goes first';
COMMENT ON COLUMN actions.queue IS 'The queue whose collectors hand it over';

INSERT INTO actions (action, number, path, code_signed, statuses, priority) VALUES
    ('activation', 1, '/activate', false, '{provisioned}', 5),
    ('password_recovery', 2, '/recover', true, '{active}', 1);

-- Who holds what -----------------------------------------------------------------------------------

CREATE TABLE holders (
    number        integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text        NOT NULL,
    host          text        NOT NULL,
    pid           integer     NOT NULL,
    version       text        NOT NULL,
    started       timestamptz NOT NULL DEFAULT now(),
    missing_since timestamptz,
    role          oid         NOT NULL DEFAULT quote_ident(session_user)::regrole::oid,
    CONSTRAINT a_holder_is_a_collector_or_a_sender CHECK (kind IN ('collector', 'sender'))
);

COMMENT ON TABLE holders IS 'One row per connection of a collector or sender, alive while mailroom_holder_lock(number) is locked';
COMMENT ON COLUMN holders.missing_since IS 'When a sweep first found its lock free';
COMMENT ON COLUMN holders.role IS 'Whose session it is: a lock that another role takes is not its';

-- The advisory locks of Mailroom are pairs of integers; the first says what the second numbers:
-- 1835100524 is "mail" in ASCII (holders), 1919905645 is "room" (gates).
CREATE FUNCTION mailroom_holder_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1835100524';
CREATE FUNCTION mailroom_gate_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1919905645';

-- The gate of a queue. Two queues that hash alike share one, which costs a needless NOTIFY now and
-- then, and nothing else.
-- The hash is of the label's oid, and not of its text: a cast to text is not immutable, so this would be
-- planned anew in each transaction of the application.
CREATE FUNCTION mailroom_gate(queue job_type) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT hashenum(queue)';

-- The channel that the triggers notify. Collectors refuse to start on another one.
CREATE FUNCTION mailroom_channel() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$SELECT 'token_insert'$$;

-- For mailroom_session, below.
CREATE FUNCTION mailroom_other_session() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'MR001',
        MESSAGE = 'this statement reached another backend than the one that holds the lock',
        HINT = 'connect to PostgreSQL directly or through a session pooler';
END
$$;

-- True when this is still the backend that took the holder's lock. Every statement of a collector or
-- sender asks, because behind a transaction pooler the next one may reach another backend.
-- In SQL, so that it becomes a part of the statement and costs next to nothing.
CREATE FUNCTION mailroom_session(backend integer) RETURNS boolean
    LANGUAGE sql STABLE AS 'SELECT pg_backend_pid() = backend OR mailroom_other_session()';

-- A text in UTF-8. If its database's encoding has no character for a byte of it, something that is not
-- UTF-8, so that one mail suffers from it and not the statement.
CREATE FUNCTION mailroom_utf8(words text) RETURNS bytea LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    -- In a database without an encoding a text may be anything.
    RETURN convert_to(
        words, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END
    );
EXCEPTION WHEN untranslatable_character OR character_not_in_repertoire THEN
    RETURN '\xff';
END
$$;

-- What is outstanding ------------------------------------------------------------------------------

CREATE TYPE delivery_state AS ENUM ('pending', 'dispatched', 'sending');

-- A domain and no CHECK of the table: that would be read and planned anew by each statement that writes
-- deliveries, sign-ups among them, and this is tested only when a time is written.
CREATE DOMAIN delivery_time AS timestamptz CONSTRAINT a_delivery_has_a_time CHECK (isfinite(value));

-- No foreign key to tokens: it would cost every sign-up a lookup and every deleted account a delete
-- here, where it could meet a collector. The claim finds a deleted token and says so.
-- Each row's due time is its own, also within one statement, so that a claim can start where the last
-- one ended. The index holds no column that claim, begin or release change, so they are HOT updates.
CREATE TABLE deliveries (
    token         bigint         PRIMARY KEY,
    due_at        delivery_time  NOT NULL DEFAULT clock_timestamp(),
    dispatched_at timestamptz,
    promised_at   delivery_time  NOT NULL DEFAULT clock_timestamp(),
    queue         job_type       NOT NULL,
    state         delivery_state NOT NULL DEFAULT 'pending',
    action        token_action,
    holder        integer,
    attempts      integer        NOT NULL DEFAULT 0,
    priority      smallint       NOT NULL,
    dispatches    smallint       NOT NULL DEFAULT 0,
    ambiguities   smallint       NOT NULL DEFAULT 0
) WITH (
    fillfactor = 33,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX deliveries_due_idx ON deliveries (queue, priority, due_at) WITH (fillfactor = 70);

COMMENT ON TABLE deliveries IS 'One row per token whose mail is outstanding; settled ones are gone';
COMMENT ON COLUMN deliveries.promised_at IS 'When it was written; due_at moves, this does not';
COMMENT ON COLUMN deliveries.action IS 'The token''s, for those who count; NULL: not said';
COMMENT ON COLUMN deliveries.holder IS 'The holder that claimed or began it';
COMMENT ON COLUMN deliveries.attempts IS 'Provider calls begun and counted';
COMMENT ON COLUMN deliveries.dispatches IS 'Times claimed since it was last begun';
COMMENT ON COLUMN deliveries.ambiguities IS 'Attempts whose outcome is not known';

-- What happened ------------------------------------------------------------------------------------

CREATE TYPE delivery_outcome AS ENUM (
    'sent', 'skipped', 'failed', 'unconfirmed', 'deferred', 'throttled', 'ambiguous'
);

-- Append-only. No key, because two `sent` rows of a token are a fact: a duplicate, and visible.
CREATE TABLE delivery_log (
    at          timestamptz      NOT NULL DEFAULT clock_timestamp(),
    token       bigint           NOT NULL,
    promised_at timestamptz,
    attempt     integer          NOT NULL,
    outcome     delivery_outcome NOT NULL,
    action      token_action,
    transport   text,
    provider_id text,
    detail      text
);

CREATE INDEX delivery_log_token_idx ON delivery_log (token);
-- Each outcome has a retention, and a rate, of its own: a range of this.
CREATE INDEX delivery_log_outcome_idx ON delivery_log (outcome, at);

COMMENT ON TABLE delivery_log IS 'One row per event in the life of a delivery';
COMMENT ON COLUMN delivery_log.promised_at IS 'Of its delivery; NULL: not known any more';
COMMENT ON COLUMN delivery_log.action IS 'Of its delivery; NULL: not known any more';
COMMENT ON COLUMN delivery_log.provider_id IS 'The provider''s message id';
COMMENT ON COLUMN delivery_log.detail IS 'In words, without addresses';

-- One row per token: its state while it is outstanding, else its last outcome. `sent` wins, whatever
-- was recorded after it. NULL: handed over before deliveries were recorded.
CREATE VIEW delivery_status AS
SELECT
    t.id AS token,
    t.account,
    t.action,
    coalesce(d.state::text, l.outcome::text) AS state,
    coalesce(d.attempts, l.attempt) AS attempts,
    d.due_at,
    l.at AS last_event_at,
    l.outcome AS last_outcome,
    l.transport,
    l.provider_id,
    l.detail
FROM tokens AS t
LEFT JOIN deliveries AS d ON d.token = t.id
LEFT JOIN LATERAL (
    SELECT * FROM delivery_log AS e
    WHERE e.token = t.id
    ORDER BY (e.outcome = 'sent') DESC, e.at DESC
    LIMIT 1
) AS l ON true;

-- Waking a collector -------------------------------------------------------------------------------

-- Whoever makes a delivery pending calls this in the same transaction.
--
-- A transaction that notifies takes a lock of the whole database while it commits, so it notifies
-- only if a collector sleeps. A sleeper holds the gate exclusively: getting it shared, until the end
-- of this transaction, proves that nobody sleeps, and that nobody falls asleep before the row can be
-- seen. Asked anew each time: a savepoint that is rolled back gives the lock back too.
--
-- Setting mailroom.notify: 'always' notifies every time, as the original did; 'off' never (for a
-- transaction that will be PREPAREd, which cannot notify); anything else is the gate.
CREATE FUNCTION mailroom_wake(queue job_type) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    mode CONSTANT text := current_setting('mailroom.notify', true);
BEGIN
    IF mode = 'off' THEN
        RETURN;
    END IF;
    IF mode = 'always' OR NOT pg_try_advisory_xact_lock_shared(
        mailroom_gate_class(), mailroom_gate(queue)
    ) THEN
        PERFORM pg_notify(mailroom_channel(), queue::text);
    END IF;
END
$$;

-- Triggers -----------------------------------------------------------------------------------------
-- Names are the original's. Those on the way of a sign-up run once per statement; the others, which
-- fire only when a status or a use of a token really changes, once per such row.

CREATE FUNCTION mailroom_unknown_action(action token_action) RETURNS job_type LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'there is no row for % in actions, so its token cannot be mailed', action
        USING ERRCODE = 'foreign_key_violation',
              HINT = 'insert a row for it into actions before the first token';
END
$$;

DROP TRIGGER IF EXISTS before_account_insert ON accounts;
DROP TRIGGER IF EXISTS before_account_status_change ON accounts;
DROP TRIGGER IF EXISTS after_token_consumed ON tokens;
DROP TRIGGER IF EXISTS after_token_inserted ON tokens;

CREATE OR REPLACE FUNCTION trg_before_account_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tokens (account, action)
    SELECT i.id, 'activation' FROM inserted AS i WHERE i.status = 'provisioned' ORDER BY i.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER before_account_insert AFTER INSERT ON accounts
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_before_account_insert();

CREATE OR REPLACE FUNCTION trg_after_token_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO deliveries (token, queue, priority, action)
    SELECT i.id, coalesce(a.queue, mailroom_unknown_action(i.action)), a.priority, i.action
    FROM inserted AS i LEFT JOIN actions AS a ON a.action = i.action
    ORDER BY i.id;

    PERFORM mailroom_wake(q.queue) FROM (
        SELECT DISTINCT a.queue FROM inserted AS i JOIN actions AS a ON a.action = i.action
    ) AS q;
    RETURN NULL;
END
$$;

CREATE TRIGGER after_token_inserted AFTER INSERT ON tokens
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION trg_after_token_inserted();

CREATE OR REPLACE FUNCTION trg_before_account_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    at CONSTANT bigint := extract(epoch FROM now());
BEGIN
    NEW.status_changed_at := at;
    IF NEW.status = 'suspended' THEN
        NEW.suspended_at := at;
        NEW.unsuspended_at := NULL;
    ELSIF OLD.status = 'suspended' AND NEW.status = 'active' THEN
        NEW.unsuspended_at := at;
        NEW.suspended_at := NULL;
        IF NEW.activated_at IS NULL THEN
            NEW.status := 'provisioned';
        END IF;
    ELSIF OLD.status = 'provisioned' AND NEW.status = 'active' THEN
        NEW.activated_at := at;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER before_account_status_change BEFORE UPDATE OF status ON accounts
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION trg_before_account_status_change();

-- A token that was skipped for its account's status is owed its mail again when the status allows
-- it and the token still lives. The skip holds the account's row while it skips, so the log read here
-- is complete.
CREATE FUNCTION trg_after_account_status_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    owed_to job_type;
BEGIN
    FOR owed_to IN
        WITH owed AS (
            INSERT INTO deliveries (token, queue, priority, action)
            SELECT t.id, a.queue, a.priority, a.action
            FROM tokens AS t JOIN actions AS a ON a.action = t.action
            WHERE t.account = NEW.id
              AND t.consumed_at IS NULL
              AND t.expires_at > extract(epoch FROM now())
              AND NEW.status = ANY (a.statuses)
              AND 'skipped' = (
                  SELECT l.outcome FROM delivery_log AS l
                  WHERE l.token = t.id ORDER BY (l.outcome = 'sent') DESC, l.at DESC LIMIT 1
              )
            ORDER BY t.id
            ON CONFLICT DO NOTHING
            RETURNING deliveries.queue
        )
        SELECT DISTINCT owed.queue FROM owed
    LOOP
        PERFORM mailroom_wake(owed_to);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER after_account_status_change AFTER UPDATE OF status ON accounts
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION trg_after_account_status_change();

CREATE OR REPLACE FUNCTION trg_after_token_consumed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts SET status = 'active' WHERE id = NEW.account AND status = 'provisioned';
    RETURN NULL;
END
$$;

CREATE TRIGGER after_token_consumed AFTER UPDATE OF consumed_at ON tokens
    FOR EACH ROW WHEN (
        NEW.action = 'activation' AND OLD.consumed_at IS NULL AND NEW.consumed_at IS NOT NULL
    )
    EXECUTE FUNCTION trg_after_token_consumed();

-- Holds the rows of these accounts until the transaction ends, so that no status changes meanwhile,
-- and says what theirs are. Those that somebody is changing are left out. A function, because a row
-- can be locked only by who may change it, and a collector may not.
CREATE FUNCTION mailroom_hold_accounts(held bigint[])
    RETURNS TABLE (account bigint, status account_status)
    LANGUAGE sql STRICT SECURITY DEFINER ROWS 10 SET row_security = off AS $$
    SELECT a.id, a.status FROM accounts AS a WHERE a.id = ANY (held) FOR SHARE SKIP LOCKED
$$;

-- An application whose role does not own these tables signs people up all the same: what writes
-- deliveries runs with the owner's rights, and finds its tables nowhere but here. Nobody else may
-- make a trigger, or a lock, of these.
DO $$
DECLARE
    definer regprocedure;
BEGIN
    FOREACH definer IN ARRAY ARRAY[
        'trg_after_token_inserted()', 'trg_after_account_status_change()',
        'mailroom_hold_accounts(bigint[])'
    ]::regprocedure[] LOOP
        EXECUTE pg_catalog.format(
            'ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', definer, current_schema()
        );
        EXECUTE pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', definer);
    END LOOP;
END
$$;

-- An existing database ------------------------------------------------------------------------------

-- Codes that the original's generator spoiled (`#####`), as long as nobody has been told them.
ALTER TABLE tokens ALTER COLUMN code SET DEFAULT lpad(
    ((('x' || encode(gen_random_bytes(4), 'hex'))::bit(32)::bigint) % 100000)::text, 5, '0'
);

UPDATE tokens SET code = DEFAULT
WHERE id > coalesce((SELECT last_seq FROM jobs WHERE job_type = 'mailroom'), 0)
  AND consumed_at IS NULL
  AND expires_at > extract(epoch FROM now())
  AND (code IS NULL OR code !~ '^[0-9]{5}$');

-- Up to its cursor the original collector has handed tokens over; they are not mailed again.
INSERT INTO deliveries (token, queue, priority, action)
SELECT t.id, a.queue, a.priority, a.action
FROM tokens AS t JOIN actions AS a ON a.action = t.action
WHERE t.id > coalesce((SELECT last_seq FROM jobs WHERE job_type = 'mailroom'), 0)
  AND t.consumed_at IS NULL
  AND t.expires_at > extract(epoch FROM now())
ORDER BY t.id;

COMMIT;
