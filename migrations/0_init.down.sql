-- Back to nothing: the tables accounts and tokens are dropped, with ALL USERS. pgcrypto stays: others in this database may use it.
BEGIN;

DROP TABLE jobs, tokens, accounts;
DROP FUNCTION trg_before_account_insert, trg_before_account_status_change,
    trg_after_token_consumed, trg_after_token_inserted;
DROP TYPE job_type, token_action, account_status;

COMMIT;
