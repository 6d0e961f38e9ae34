-- Without totals and retention. What has been purged does not come back.
BEGIN;

DROP FUNCTION mailroom_purge, mailroom_totals, mailroom_count_log, mailroom_count,
    mailroom_latency_bounds, consume_token;
DROP TABLE delivery_totals, delivery_totals_until;

COMMIT;
