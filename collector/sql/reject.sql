-- Reject: deliveries of ours that cannot be written on a line have failed, with the reason.
--
-- $1 our backend, $2 our holder number, $3 tokens, $4 their reasons, in the same order, $5 what makes a
-- commit durable.
-- Crash before the commit: we still hold them; they are claimed and rejected again.
WITH rejected AS MATERIALIZED (
    SELECT r.token, r.reason FROM unnest($3::bigint[], $4::text[]) AS r (token, reason)
    WHERE mailroom_session($1::integer)
),
mine AS MATERIALIZED (
    SELECT d.token, d.action, d.promised_at, d.attempts, r.reason
    FROM rejected AS r JOIN deliveries AS d ON d.token = r.token
    WHERE d.holder = $2::integer AND d.state = 'dispatched'
    ORDER BY d.token FOR NO KEY UPDATE OF d
),
gone AS (
    DELETE FROM deliveries AS d USING mine WHERE d.token = mine.token
)
INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
SELECT mine.token, mine.action, mine.promised_at, mine.attempts, 'failed', mine.reason FROM mine
RETURNING set_config('synchronous_commit', $5::text, true);
