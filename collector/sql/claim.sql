-- Claim: up to $4 due deliveries, by priority and due time, become ours, or are skipped with a reason.
--
-- $1 our backend, $2 our holder number, $3 queue, $4 rows asked for (1 or more), $5 priorities and $6,
-- in the same order, microseconds since 1970: in these priorities nothing due earlier is looked at.
-- Returns every row examined, in the order to hand over; fewer than $4 means nothing else is due,
-- below the floors of $5 and $6 apart.
-- `reason` is NULL for the rows that are ours, else it says why the row was skipped or put off.
-- Crash before the commit: nothing happened. After it: we hold the rows, and release finds them.
-- Rows that another claim is taking are passed over, not waited for.
WITH RECURSIVE me AS MATERIALIZED (
    SELECT mailroom_session($1::integer)
        AND set_config('synchronous_commit', 'off', true) IS NOT NULL AS ok
),
-- The priorities there are; with floors, those known, because the probes walk over what is dead.
probed (priority) AS (
    SELECT (-1)::smallint WHERE cardinality($5::smallint[]) = 0
    UNION ALL
    SELECT (
        SELECT d.priority FROM deliveries AS d
        WHERE d.queue = $3::text::job_type AND d.priority > p.priority
        ORDER BY d.priority LIMIT 1
    )
    FROM probed AS p WHERE p.priority IS NOT NULL
),
priorities AS MATERIALIZED (
    SELECT p.priority FROM probed AS p
    UNION
    SELECT u.priority FROM unnest($5::smallint[]) AS u (priority)
    UNION
    SELECT k.priority FROM actions AS k
    WHERE k.queue = $3::text::job_type AND cardinality($5::smallint[]) > 0
    ORDER BY priority
),
-- Each priority in turn, so that what is deferred in one does not stand in front of the next.
due AS MATERIALIZED (
    SELECT r.* FROM me CROSS JOIN priorities AS p
    CROSS JOIN LATERAL (
        SELECT (
            SELECT to_timestamp(0) + u.due * interval '1 microsecond'
            FROM unnest($5::smallint[], $6::bigint[]) AS u (priority, due)
            WHERE u.priority = p.priority
        ) AS floor
    ) AS f
    CROSS JOIN LATERAL (
        SELECT
            d.token, d.priority, d.due_at, d.attempts, d.dispatches, d.action, d.promised_at
        FROM deliveries AS d
        WHERE d.queue = $3::text::job_type AND d.priority = p.priority
          AND d.due_at <= now() AND d.state = 'pending'
          AND d.due_at >= coalesce(f.floor, '-infinity')
        ORDER BY d.due_at LIMIT $4::bigint
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS r
    WHERE me.ok
    LIMIT $4::bigint
),
examined AS MATERIALIZED (
    SELECT
        due.token, due.attempts, due.dispatches, due.priority, due.due_at, due.action,
        due.promised_at,
        row_number() OVER (ORDER BY due.priority, due.due_at, due.token) AS place,
        t.secret, t.code, t.account, a.email, a.login, k.number, k.path, k.code_signed, k.statuses,
        CASE
            WHEN t.id IS NULL THEN 'the token was deleted'
            WHEN t.consumed_at IS NOT NULL THEN 'the token was used already'
            WHEN t.expires_at <= extract(epoch FROM now()) THEN 'the token has expired'
            WHEN a.id IS NULL THEN 'the account was deleted'
            WHEN k.action IS NULL THEN 'its action has no row in actions'
        END AS reason,
        a.status <> ALL (k.statuses) AS barred
    FROM due
    LEFT JOIN tokens AS t ON t.id = due.token
    LEFT JOIN accounts AS a ON a.id = t.account
    LEFT JOIN actions AS k ON k.action = t.action
),
-- A status can change back, and then the account's trigger looks for what was skipped. Holding the
-- account's row until this commits puts the two in order.
barred AS MATERIALIZED (
    SELECT e.token, 'the account is ' || a.status::text AS reason
    FROM mailroom_hold_accounts((
        SELECT array_agg(e.account) FROM examined AS e WHERE e.reason IS NULL AND e.barred
    )) AS a
    JOIN examined AS e ON e.account = a.account
    WHERE e.reason IS NULL AND e.barred AND a.status <> ALL (e.statuses)
),
verdicts AS MATERIALIZED (
    SELECT
        e.*,
        coalesce(e.reason, b.reason) AS skipped_because,
        -- Somebody is changing the account right now: look again in a moment.
        e.reason IS NULL AND e.barred AND b.token IS NULL AS put_off
    FROM examined AS e LEFT JOIN barred AS b ON b.token = e.token
),
taken AS (
    UPDATE deliveries AS d
    SET state = 'dispatched', holder = $2::integer, dispatched_at = now(),
        dispatches = least(d.dispatches + 1, 100)
    FROM verdicts AS v
    WHERE d.token = v.token AND v.skipped_because IS NULL AND NOT v.put_off
),
put_off AS (
    UPDATE deliveries AS d SET due_at = now() + interval '1 second'
    FROM verdicts AS v WHERE d.token = v.token AND v.put_off
),
skipped AS (
    DELETE FROM deliveries AS d USING verdicts AS v
    WHERE d.token = v.token AND v.skipped_because IS NOT NULL
),
logged AS (
    INSERT INTO delivery_log (token, action, promised_at, attempt, outcome, detail)
    SELECT v.token, v.action, v.promised_at, v.attempts, 'skipped', v.skipped_because
    FROM verdicts AS v WHERE v.skipped_because IS NOT NULL
)
SELECT
    v.token, v.number, v.path, v.code_signed, v.secret, v.code,
    -- As bytes: in a database without an encoding (SQL_ASCII) they may be anything.
    CASE getdatabaseencoding()
        WHEN 'SQL_ASCII' THEN convert_to(v.email, 'SQL_ASCII') ELSE convert_to(v.email, 'UTF8')
    END AS email,
    CASE getdatabaseencoding()
        WHEN 'SQL_ASCII' THEN convert_to(v.login, 'SQL_ASCII') ELSE convert_to(v.login, 'UTF8')
    END AS login,
    v.dispatches + 1 AS dispatches, v.priority,
    (extract(epoch FROM v.due_at) * 1000000)::bigint AS due,
    CASE WHEN v.put_off THEN 'the account is being changed' ELSE v.skipped_because END AS reason,
    (extract(epoch FROM now()) * 1000000)::bigint AS claimed_at
FROM verdicts AS v
ORDER BY v.place;
