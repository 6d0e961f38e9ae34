-- Claim: up to $4 deliveries that are due become ours, by priority and due time.
--
-- $1 our backend, $2 our holder number, $3 queue, $4 rows asked for (1 or more), $5 priorities in
-- ascending order and $6, in the same order, due times or NULL: nothing due earlier is looked at.
-- Returns the rows, in no order; queue.rs reads their columns by number. Those without a `number` of an
-- action may not be mailed: skip deals with them.
-- Crash before the commit: nothing happened. After it: we hold the rows, and release finds them.
-- Rows that another claim is taking are passed over, not waited for.
--
-- Nearly every row may be mailed, so this says no more than that takes; and each table is looked up
-- row by row, whatever the planner believes of its size: OFFSET 0 keeps a lookup a lookup (ADR 12).
WITH taken AS (
    UPDATE deliveries AS d
    SET state = 'dispatched', dispatched_at = now(), dispatches = least(d.dispatches + 1, 100),
        -- Asked row by row, which is cheaper than a subquery that is run once.
        holder = CASE WHEN mailroom_session($1::integer) THEN $2::integer END
    -- A row that was changed and committed meanwhile is locked here and left for the next claim.
    WHERE d.ctid = ANY (ARRAY(
        SELECT r.ctid FROM unnest($5::smallint[], $6::timestamptz[]) AS p (priority, floor)
        -- Each priority in turn, so that what is deferred in one does not stand in front of the next.
        CROSS JOIN LATERAL (
            SELECT d.ctid FROM deliveries AS d
            WHERE d.queue = $3::text::job_type AND d.priority = p.priority
              AND d.due_at <= now() AND d.state = 'pending'
              AND d.due_at >= coalesce(p.floor, '-infinity')
            ORDER BY d.due_at LIMIT $4::bigint
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS r
        LIMIT $4::bigint
    ))
    RETURNING d.token, d.dispatches, d.priority, d.due_at
)
SELECT
    d.token, k.number, k.path, k.code_signed, t.secret,
    CASE WHEN e.is_utf8 THEN convert_to(t.code, 'UTF8') ELSE mailroom_utf8(t.code) END AS code,
    CASE
        WHEN k.number IS NULL THEN NULL
        WHEN e.is_utf8 THEN convert_to(a.email, 'UTF8') ELSE mailroom_utf8(a.email)
    END AS email,
    CASE
        WHEN k.number IS NULL THEN NULL
        WHEN e.is_utf8 THEN convert_to(a.login, 'UTF8') ELSE mailroom_utf8(a.login)
    END AS login,
    d.dispatches::integer AS dispatches, d.priority, d.due_at, now() AS claimed_at
FROM taken AS d
LEFT JOIN LATERAL (
    SELECT t.secret, t.code, t.account, t.action FROM tokens AS t
    WHERE t.id = d.token AND t.consumed_at IS NULL
      AND t.expires_at > date_part('epoch', now())
    OFFSET 0
) AS t ON true
LEFT JOIN LATERAL (
    SELECT a.email, a.login, a.status FROM accounts AS a WHERE a.id = t.account
    OFFSET 0
) AS a ON true
LEFT JOIN LATERAL (
    SELECT k.number, k.path, k.code_signed FROM actions AS k
    WHERE k.action = t.action AND a.status = ANY (k.statuses)
    OFFSET 0
) AS k ON true
CROSS JOIN (SELECT getdatabaseencoding() = 'UTF8' AS is_utf8) AS e;
