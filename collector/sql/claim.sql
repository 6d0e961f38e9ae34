-- Claim: up to $4 deliveries that are due and may be mailed become ours, by priority and due time.
--
-- $1 our backend, $2 our holder number, $3 queue, $4 rows asked for (1 or more), $5 priorities in
-- ascending order and $6, in the same order, due times or NULL: nothing due earlier is looked at.
-- Returns the rows that are ours. `due` is how many rows there were to take: what is missing may not
-- be mailed, and skip says why. No row at all may mean that none of them may be.
-- Crash before the commit: nothing happened. After it: we hold the rows, and release finds them.
-- Rows that another claim is taking are passed over, not waited for.
--
-- Nearly every row may be mailed, so this says no more than that takes; and each table is looked up
-- row by row, whatever the planner believes of its size: OFFSET 0 keeps a lookup a lookup, and BETWEEN
-- is an equality that it can use in one way only (ADR 12).
WITH me AS MATERIALIZED (
    SELECT
        floor(extract(epoch FROM now()))::bigint AS second,
        -- In a database without an encoding texts may be anything.
        CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END AS encoding
    WHERE mailroom_session($1::integer)
      AND set_config('synchronous_commit', 'off', true) IS NOT NULL
),
-- Each priority in turn, so that what is deferred in one does not stand in front of the next.
due AS MATERIALIZED (
    SELECT r.token, me.second, me.encoding
    FROM me CROSS JOIN unnest($5::smallint[], $6::timestamptz[]) AS p (priority, floor)
    CROSS JOIN LATERAL (
        SELECT d.token FROM deliveries AS d
        WHERE d.queue = $3::text::job_type AND d.priority = p.priority
          AND d.due_at <= now() AND d.state = 'pending'
          AND d.due_at >= coalesce(p.floor, '-infinity')
        ORDER BY d.due_at LIMIT $4::bigint
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS r
    LIMIT $4::bigint
)
UPDATE deliveries AS d
SET state = 'dispatched', holder = $2::integer, dispatched_at = now(),
    dispatches = least(d.dispatches + 1, 100)
FROM due
CROSS JOIN LATERAL (
    SELECT t.secret, t.code, t.account, t.action FROM tokens AS t
    WHERE t.id = due.token AND t.consumed_at IS NULL AND t.expires_at > due.second
    OFFSET 0
) AS t
CROSS JOIN LATERAL (
    SELECT a.email, a.login, a.status FROM accounts AS a WHERE a.id = t.account
    OFFSET 0
) AS a
CROSS JOIN LATERAL (
    SELECT k.number, k.path, k.code_signed FROM actions AS k
    WHERE k.action = t.action AND a.status = ANY (k.statuses)
    OFFSET 0
) AS k
WHERE d.token BETWEEN due.token AND due.token
RETURNING
    d.token, k.number, k.path, k.code_signed, t.secret, t.code,
    convert_to(a.email, due.encoding) AS email, convert_to(a.login, due.encoding) AS login,
    d.dispatches::integer AS dispatches, d.priority, d.due_at, d.dispatched_at AS claimed_at,
    (SELECT count(*) FROM due) AS due;
