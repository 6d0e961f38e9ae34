-- Refuse: what begin left out is gone, with a reason, or goes back to the collector.
--
-- $1 our backend, $2 action number, $3 secrets, $4 seconds a token must still live, $5 ambiguous
-- attempts that are enough. Returns how many rows there were.
-- Rows that somebody has begun, or that are due later, stay as they are: a line may be fed twice.
-- Crash before the commit: nothing happened; the rows are dispatched, and go back with their collector
-- or as lost on the way.
WITH asked AS MATERIALIZED (
    SELECT a.secret FROM unnest($3::bytea[]) AS a (secret) WHERE mailroom_session($1::integer)
),
found AS MATERIALIZED (
    SELECT
        d.token, d.state, d.attempts, d.promised_at, d.queue, k.action,
        CASE
            WHEN t.consumed_at IS NOT NULL THEN 'skipped'
            WHEN t.expires_at <= extract(epoch FROM now()) + $4::bigint THEN 'skipped'
            WHEN d.ambiguities >= $5::integer THEN 'failed'
        END AS outcome,
        CASE
            WHEN t.consumed_at IS NOT NULL THEN 'the token was used already'
            WHEN t.expires_at <= extract(epoch FROM now()) THEN 'the token has expired'
            WHEN t.expires_at <= extract(epoch FROM now()) + $4::bigint
                THEN 'the token would have expired during the call'
            WHEN d.ambiguities >= $5::integer THEN 'attempts used up: none was answered'
        END AS reason
    FROM asked
    CROSS JOIN LATERAL (
        SELECT t.id, t.action, t.consumed_at, t.expires_at FROM tokens AS t
        WHERE t.secret = asked.secret
        OFFSET 0
    ) AS t
    CROSS JOIN LATERAL (
        SELECT k.action FROM actions AS k WHERE k.action = t.action AND k.number = $2::smallint
        OFFSET 0
    ) AS k
    JOIN deliveries AS d ON d.token BETWEEN t.id AND t.id
    WHERE d.state = 'dispatched' OR (d.state = 'pending' AND d.due_at <= now())
    ORDER BY t.id FOR NO KEY UPDATE OF d
),
-- Another address or status than when it was claimed: the collector looks again.
returned AS (
    UPDATE deliveries AS d SET state = 'pending', holder = NULL, dispatched_at = NULL
    FROM found AS f
    WHERE d.token BETWEEN f.token AND f.token AND f.outcome IS NULL AND f.state = 'dispatched'
    RETURNING d.queue
),
dropped AS (
    DELETE FROM deliveries AS d USING found AS f
    WHERE d.token BETWEEN f.token AND f.token AND f.outcome IS NOT NULL
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
    SELECT f.token, f.action, f.promised_at, f.attempts, f.outcome::delivery_outcome, f.reason
    FROM found AS f WHERE f.outcome IS NOT NULL
)
SELECT (SELECT count(*) FROM found) AS found, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT r.queue FROM returned AS r) AS q
) AS woken, set_config('synchronous_commit', 'off', true) AS durability;
