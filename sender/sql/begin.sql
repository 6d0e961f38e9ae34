-- Begin: of the mails of one call, those that may be sent now, exactly once.
--
-- $1 our backend, $2 our holder number, $3 action number, $4 secrets, $5 addresses in the same order,
-- $6 seconds a token must still live, $7 ambiguous attempts that are enough.
-- Returns `place` (from 1, in $4), token, attempts (this one included) and ambiguities of each row
-- that is now ours, and what its template may want to know: the action's label, the account's locale,
-- what the token carries and when it expires; one row with `place` NULL when there is none. Only what is returned is sent.
-- A line fed twice finds its rows begun or gone, and gets nothing.
-- A locked row is waited for: another collector's claim may hold it for a moment, only to find that it
-- is dispatched already, and what is left out here is not seen again for a minute.
-- Crash before the commit: nothing happened. After it: we hold the rows until our session ends.
WITH asked AS MATERIALIZED (
    SELECT DISTINCT ON (a.secret) a.place, a.secret, a.email
    FROM unnest($4::bytea[], $5::text[]) WITH ORDINALITY AS a (secret, email, place)
    WHERE mailroom_session($1::integer)
    ORDER BY a.secret, a.place
),
found AS MATERIALIZED (
    SELECT
        d.token, d.state, d.attempts, d.promised_at, asked.place, k.action,
        k.action::text AS label, a.locale, t.data::text AS data, t.expires_at,
        CASE
            WHEN t.consumed_at IS NOT NULL THEN 'skipped'
            WHEN t.expires_at <= extract(epoch FROM now()) + $6::bigint THEN 'skipped'
            WHEN d.ambiguities >= $7::integer THEN 'failed'
        END AS outcome,
        CASE
            WHEN t.consumed_at IS NOT NULL THEN 'the token was used already'
            WHEN t.expires_at <= extract(epoch FROM now()) THEN 'the token has expired'
            WHEN t.expires_at <= extract(epoch FROM now()) + $6::bigint
                THEN 'the token would have expired during the call'
            WHEN d.ambiguities >= $7::integer THEN 'attempts used up: none was answered'
        END AS reason,
        a.email = asked.email AND a.status = ANY (k.statuses) AS right_account
    FROM asked
    JOIN tokens AS t ON t.secret = asked.secret
    JOIN actions AS k ON k.action = t.action AND k.number = $3::smallint
    JOIN accounts AS a ON a.id = t.account
    JOIN deliveries AS d ON d.token = t.id
    WHERE d.state = 'dispatched' OR (d.state = 'pending' AND d.due_at <= now())
    ORDER BY d.token FOR NO KEY UPDATE OF d
),
begun AS (
    UPDATE deliveries AS d
    SET state = 'sending', holder = $2::integer, attempts = d.attempts + 1, dispatches = 0
    FROM found AS f
    WHERE d.token = f.token AND f.outcome IS NULL AND f.right_account
    RETURNING f.place, d.token, d.attempts, d.ambiguities, f.label, f.locale, f.data, f.expires_at
),
-- Another address or status than when it was claimed: the collector looks again.
returned AS (
    UPDATE deliveries AS d SET state = 'pending', holder = NULL, dispatched_at = NULL
    FROM found AS f
    WHERE d.token = f.token AND f.outcome IS NULL AND NOT f.right_account
      AND f.state = 'dispatched'
    RETURNING d.queue
),
dropped AS (
    DELETE FROM deliveries AS d USING found AS f
    WHERE d.token = f.token AND f.outcome IS NOT NULL
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
    SELECT f.token, f.action, f.promised_at, f.attempts, f.outcome::delivery_outcome, f.reason
    FROM found AS f WHERE f.outcome IS NOT NULL
)
SELECT begun.place, begun.token, begun.attempts, begun.ambiguities::integer AS ambiguities,
    begun.label, begun.locale, begun.data, begun.expires_at
FROM (
    SELECT count(mailroom_wake(q.queue)::text) AS woken,
        set_config('synchronous_commit', 'off', true) AS durability
    FROM (SELECT DISTINCT returned.queue FROM returned) AS q
) AS w LEFT JOIN begun ON true
ORDER BY begun.place;
