-- Skip: deliveries of ours that may not be mailed are gone, with a reason, or pending again.
--
-- $1 our backend, $2 our holder number, $3 tokens.
-- Returns each row that was dealt with, and why; and, without a reason, each that somebody keeps locked,
-- so that it is still ours to skip.
-- Crash before the commit: we still hold them, and release finds them.
WITH examined AS MATERIALIZED (
    SELECT
        c.token, t.account, k.statuses,
        CASE
            WHEN t.id IS NULL THEN 'the token was deleted'
            WHEN t.consumed_at IS NOT NULL THEN 'the token was used already'
            WHEN t.expires_at <= extract(epoch FROM now()) THEN 'the token has expired'
            WHEN a.id IS NULL THEN 'the account was deleted'
            WHEN k.action IS NULL THEN 'its action has no row in actions'
        END AS reason
    -- One that was locked twice is asked for twice.
    FROM (SELECT DISTINCT u.token FROM unnest($3::bigint[]) AS u (token)) AS c
    LEFT JOIN LATERAL (
        SELECT t.id, t.account, t.action, t.consumed_at, t.expires_at FROM tokens AS t
        WHERE t.id = c.token
        OFFSET 0
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT a.id FROM accounts AS a WHERE a.id = t.account
        OFFSET 0
    ) AS a ON true
    LEFT JOIN LATERAL (
        SELECT k.action, k.statuses FROM actions AS k WHERE k.action = t.action
        OFFSET 0
    ) AS k ON true
    WHERE mailroom_session($1::integer)
),
mine AS MATERIALIZED (
    SELECT d.token, d.attempts, d.action, d.promised_at, d.queue, e.account, e.statuses, e.reason
    FROM examined AS e JOIN deliveries AS d ON d.token BETWEEN e.token AND e.token
    WHERE d.holder = $2::integer AND d.state = 'dispatched'
    ORDER BY e.token FOR NO KEY UPDATE OF d SKIP LOCKED
),
-- A status can change back, and then the account's trigger looks for what was skipped. Holding the
-- account's row until this commits puts the two in order.
held AS MATERIALIZED (
    SELECT a.account, a.status FROM mailroom_hold_accounts((
        SELECT array_agg(DISTINCT m.account) FROM mine AS m WHERE m.reason IS NULL
    )) AS a
),
verdicts AS MATERIALIZED (
    SELECT
        m.token, m.attempts, m.action, m.promised_at, m.queue,
        CASE
            WHEN m.reason IS NOT NULL THEN m.reason
            -- Look again in a moment.
            WHEN h.account IS NULL THEN 'the account is being changed'
            -- It may be mailed by now.
            WHEN h.status = ANY (m.statuses) THEN 'the account has changed'
            ELSE 'the account is ' || h.status::text
        END AS reason,
        CASE
            WHEN m.reason IS NOT NULL THEN NULL
            WHEN h.account IS NULL THEN now() + interval '1 second'
            WHEN h.status = ANY (m.statuses) THEN now()
        END AS again_at
    FROM mine AS m LEFT JOIN held AS h ON h.account = m.account
),
again AS (
    UPDATE deliveries AS d
    SET state = 'pending', holder = NULL, dispatched_at = NULL, due_at = v.again_at,
        dispatches = d.dispatches - 1
    FROM verdicts AS v WHERE d.token BETWEEN v.token AND v.token AND v.again_at IS NOT NULL
    RETURNING d.queue
),
gone AS (
    DELETE FROM deliveries AS d USING verdicts AS v
    WHERE d.token BETWEEN v.token AND v.token AND v.again_at IS NULL
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
    SELECT v.token, v.action, v.promised_at, v.attempts, 'skipped', v.reason
    FROM verdicts AS v WHERE v.again_at IS NULL
)
SELECT v.token, v.reason, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT a.queue FROM again AS a) AS q
) AS woken
FROM verdicts AS v
UNION ALL
SELECT l.token, NULL, NULL FROM (
    SELECT e.token FROM examined AS e CROSS JOIN LATERAL (
        SELECT 1 FROM deliveries AS d
        WHERE d.token = e.token AND d.holder = $2::integer AND d.state = 'dispatched'
        OFFSET 0
    ) AS d
    EXCEPT SELECT v.token FROM verdicts AS v
) AS l;
