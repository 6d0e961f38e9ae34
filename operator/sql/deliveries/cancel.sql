-- Cancel: these deliveries have failed, unless a sender has begun them.
--
-- $1 tokens, at most a batch. Returns how many were cancelled and how many are being sent. A line that
-- is on its way to a sender already finds nothing to begin.
WITH found AS MATERIALIZED (
    SELECT d.token, d.state, d.attempts, d.action, d.promised_at FROM deliveries AS d
    WHERE d.token = ANY ($1::bigint[])
    ORDER BY d.token FOR NO KEY UPDATE
),
gone AS (
    DELETE FROM deliveries AS d USING found AS f
    WHERE d.token = f.token AND f.state <> 'sending'
),
logged AS (
    INSERT INTO delivery_log (token, attempt, outcome, detail, action, promised_at)
    SELECT f.token, f.attempts, 'failed', 'cancelled by an operator', f.action, f.promised_at
    FROM found AS f WHERE f.state <> 'sending'
)
SELECT
    (SELECT count(*) FROM found AS f WHERE f.state <> 'sending') AS cancelled,
    (SELECT count(*) FROM found AS f WHERE f.state = 'sending') AS sending;
