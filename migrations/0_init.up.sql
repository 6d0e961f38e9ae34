-- Version 0: the schema of the original Mailroom, name for name and type for type.
--
-- Two of its faults are mended here, because names and types allow it: the activation token is made
-- AFTER the account exists (made before, an INSERT … ON CONFLICT DO NOTHING left a token without
-- an account and the application's transaction failed), and codes come from a cryptographic source
-- and always have five digits.
BEGIN;

CREATE EXTENSION IF NOT EXISTS pgcrypto;

CREATE TYPE account_status AS ENUM ('provisioned', 'active', 'suspended');
CREATE TYPE token_action AS ENUM ('activation', 'password_recovery');
CREATE TYPE job_type AS ENUM ('mailroom');

CREATE TABLE accounts (
    id                bigserial      PRIMARY KEY,
    email             varchar(254)   UNIQUE NOT NULL,
    status            account_status NOT NULL DEFAULT 'provisioned',
    login             varchar(254)   UNIQUE NOT NULL,
    created_at        integer        NOT NULL DEFAULT extract(epoch FROM now()),
    status_changed_at integer,
    activated_at      integer,
    suspended_at      integer,
    unsuspended_at    integer
);

CREATE INDEX accounts_id_status_idx ON accounts (id, status);

CREATE TABLE tokens (
    id          bigserial    PRIMARY KEY,
    action      token_action NOT NULL,
    secret      bytea        UNIQUE NOT NULL DEFAULT gen_random_bytes(32),
    code        varchar(5)   DEFAULT lpad(
        ((('x' || encode(gen_random_bytes(4), 'hex'))::bit(32)::bigint) % 100000)::text, 5, '0'
    ),
    account     bigint       NOT NULL REFERENCES accounts ON DELETE CASCADE
                             DEFERRABLE INITIALLY DEFERRED,
    expires_at  integer      NOT NULL DEFAULT extract(epoch FROM now() + interval '15 minutes'),
    consumed_at integer,
    created_at  integer      NOT NULL DEFAULT extract(epoch FROM now())
);

CREATE INDEX tokens_account_fkey ON tokens (account);
CREATE INDEX tokens_id_expires_consumed_action_idx ON tokens (id, expires_at, consumed_at, action);

CREATE TABLE jobs (
    job_type job_type PRIMARY KEY,
    last_seq bigint   NOT NULL
);

CREATE INDEX jobs_last_seq_type_idx ON jobs (last_seq, job_type);

INSERT INTO jobs (job_type, last_seq) VALUES ('mailroom', 0);

-- A provisioned account gets an activation token. The trigger keeps the name it has always had.
CREATE FUNCTION trg_before_account_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation');
    RETURN NULL;
END
$$;

CREATE TRIGGER before_account_insert AFTER INSERT ON accounts
    FOR EACH ROW WHEN (NEW.status = 'provisioned')
    EXECUTE FUNCTION trg_before_account_insert();

-- Stamps what a change of status means. Lifting the suspension of an account that was never
-- activated makes it provisioned again.
CREATE FUNCTION trg_before_account_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Using an activation token activates its account.
CREATE FUNCTION trg_after_token_consumed() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- Tells the collector that there is a token.
CREATE FUNCTION trg_after_token_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY token_insert;
    RETURN NULL;
END
$$;

CREATE TRIGGER after_token_inserted AFTER INSERT ON tokens
    FOR EACH ROW EXECUTE FUNCTION trg_after_token_inserted();

COMMIT;
