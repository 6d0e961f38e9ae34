-- Skip: deliveries that are due and may not be mailed are gone, with a reason, or put off.
--
-- $1 our backend, $2 queue, $3 rows to look at, $4 priorities and $5 due times as in claim.
-- Returns each row that was dealt with, and why; `due_at` is NULL where it was put off.
-- Crash before the commit: nothing happened. After it: the log says what became of them.
-- Rows that a claim is taking are passed over, not waited for.
WITH me AS MATERIALIZED (
    SELECT 1 AS one
    WHERE mailroom_session($1::integer)
      AND set_config('synchronous_commit', 'off', true) IS NOT NULL
),
due AS MATERIALIZED (
    SELECT r.token FROM me CROSS JOIN unnest($4::smallint[], $5::timestamptz[]) AS p (priority, floor)
    CROSS JOIN LATERAL (
        SELECT d.token FROM deliveries AS d
        WHERE d.queue = $2::text::job_type AND d.priority = p.priority
          AND d.due_at <= now() AND d.state = 'pending'
          AND d.due_at >= coalesce(p.floor, '-infinity')
        ORDER BY d.due_at LIMIT $3::bigint
    ) AS r
    LIMIT $3::bigint
),
examined AS MATERIALIZED (
    SELECT due.token, t.account, k.statuses,
        CASE
            WHEN t.id IS NULL THEN 'the token was deleted'
            WHEN t.consumed_at IS NOT NULL THEN 'the token was used already'
            WHEN t.expires_at <= extract(epoch FROM now()) THEN 'the token has expired'
            WHEN a.id IS NULL THEN 'the account was deleted'
            WHEN k.action IS NULL THEN 'its action has no row in actions'
        END AS reason,
        (a.status = ANY (k.statuses)) IS NOT true AS barred
    FROM due
    LEFT JOIN LATERAL (
        SELECT t.id, t.account, t.action, t.consumed_at, t.expires_at FROM tokens AS t
        WHERE t.id = due.token
        OFFSET 0
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT a.id, a.status FROM accounts AS a WHERE a.id = t.account
        OFFSET 0
    ) AS a ON true
    LEFT JOIN LATERAL (
        SELECT k.action, k.statuses FROM actions AS k WHERE k.action = t.action
        OFFSET 0
    ) AS k ON true
),
refused AS MATERIALIZED (
    SELECT
        d.token, d.attempts, d.action, d.promised_at, d.priority, d.due_at,
        e.account, e.statuses, e.reason
    FROM examined AS e JOIN deliveries AS d ON d.token BETWEEN e.token AND e.token
    WHERE (e.reason IS NOT NULL OR e.barred) AND d.state = 'pending'
    ORDER BY e.token FOR NO KEY UPDATE OF d SKIP LOCKED
),
-- A status can change back, and then the account's trigger looks for what was skipped. Holding the
-- account's row until this commits puts the two in order.
barred AS MATERIALIZED (
    SELECT r.token, (a.status = ANY (r.statuses)) IS NOT true AS still,
        'the account is ' || a.status::text AS reason
    FROM mailroom_hold_accounts((
        SELECT array_agg(r.account) FROM refused AS r WHERE r.reason IS NULL
    )) AS a
    JOIN refused AS r ON r.account = a.account
    WHERE r.reason IS NULL
),
verdicts AS MATERIALIZED (
    SELECT r.token, r.attempts, r.action, r.promised_at, r.priority, r.due_at,
        coalesce(r.reason, b.reason) AS reason,
        -- Somebody is changing the account right now: look again in a moment.
        r.reason IS NULL AND b.token IS NULL AS put_off
    FROM refused AS r LEFT JOIN barred AS b ON b.token = r.token
    -- What has become eligible since is claimed next time.
    WHERE r.reason IS NOT NULL OR b.still IS NOT false
),
put_off AS (
    UPDATE deliveries AS d SET due_at = now() + interval '1 second'
    FROM verdicts AS v WHERE d.token BETWEEN v.token AND v.token AND v.put_off
),
skipped AS (
    DELETE FROM deliveries AS d USING verdicts AS v
    WHERE d.token BETWEEN v.token AND v.token AND NOT v.put_off
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
    SELECT v.token, v.action, v.promised_at, v.attempts, 'skipped', v.reason
    FROM verdicts AS v WHERE NOT v.put_off
)
SELECT
    v.token, v.priority, CASE WHEN NOT v.put_off THEN v.due_at END AS due_at,
    coalesce(v.reason, 'the account is being changed') AS reason
FROM verdicts AS v;
