-- Back to the original's way: a cursor in jobs. Stop collectors and senders first.
--
-- The cursor goes back to just before the oldest outstanding token, so nothing is lost; tokens above
-- it that were mailed already and still live are mailed once more.
BEGIN;

LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE;

UPDATE jobs SET last_seq = coalesce(
    (SELECT min(token) - 1 FROM deliveries), (SELECT max(id) FROM tokens), last_seq
)
WHERE job_type = 'mailroom';

DROP TRIGGER before_account_insert ON accounts;
DROP TRIGGER after_account_status_change ON accounts;
DROP TRIGGER after_token_inserted ON tokens;

CREATE OR REPLACE FUNCTION trg_before_account_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation');
    RETURN NULL;
END
$$;

CREATE TRIGGER before_account_insert AFTER INSERT ON accounts
    FOR EACH ROW WHEN (NEW.status = 'provisioned')
    EXECUTE FUNCTION trg_before_account_insert();

CREATE OR REPLACE FUNCTION trg_after_token_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER AS $$
BEGIN
    NOTIFY token_insert;
    RETURN NULL;
END
$$;

GRANT EXECUTE ON FUNCTION trg_after_token_inserted() TO PUBLIC;

CREATE TRIGGER after_token_inserted AFTER INSERT ON tokens
    FOR EACH ROW EXECUTE FUNCTION trg_after_token_inserted();

DROP VIEW delivery_status;
DROP TABLE deliveries, delivery_log, holders, actions;
DROP FUNCTION trg_after_account_status_change, mailroom_hold_accounts, mailroom_unknown_action, mailroom_wake,
    mailroom_session, mailroom_channel, mailroom_gate, mailroom_gate_class, mailroom_holder_class;
DROP FUNCTION IF EXISTS mailroom_other_session, mailroom_utf8;
DROP DOMAIN IF EXISTS delivery_time;
DROP TYPE delivery_outcome, delivery_state;

COMMIT;
