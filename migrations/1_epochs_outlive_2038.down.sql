-- Epoch columns become INTEGER again. Where a value no longer fits this fails and changes nothing.
BEGIN;

LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE;
LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER IF EXISTS before_account_status_change ON accounts;
DROP TRIGGER IF EXISTS after_token_consumed ON tokens;

ALTER TABLE accounts
    ALTER COLUMN created_at        DROP DEFAULT,
    ALTER COLUMN created_at        TYPE integer,
    ALTER COLUMN created_at        SET DEFAULT extract(epoch FROM now()),
    ALTER COLUMN status_changed_at TYPE integer,
    ALTER COLUMN activated_at      TYPE integer,
    ALTER COLUMN suspended_at      TYPE integer,
    ALTER COLUMN unsuspended_at    TYPE integer;

ALTER TABLE tokens
    ALTER COLUMN expires_at  DROP DEFAULT,
    ALTER COLUMN expires_at  TYPE integer,
    ALTER COLUMN expires_at  SET DEFAULT extract(epoch FROM now() + interval '15 minutes'),
    ALTER COLUMN consumed_at TYPE integer,
    ALTER COLUMN created_at  DROP DEFAULT,
    ALTER COLUMN created_at  TYPE integer,
    ALTER COLUMN created_at  SET DEFAULT extract(epoch FROM now());

CREATE TRIGGER before_account_status_change BEFORE UPDATE OF status ON accounts
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION trg_before_account_status_change();

CREATE TRIGGER after_token_consumed AFTER UPDATE OF consumed_at ON tokens
    FOR EACH ROW WHEN (
        NEW.action = 'activation' AND OLD.consumed_at IS NULL AND NEW.consumed_at IS NOT NULL
    )
    EXECUTE FUNCTION trg_after_token_consumed();

COMMIT;
