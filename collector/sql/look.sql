-- Look: how much is due, and when will the next delivery be due? Takes no lock and changes nothing.
--
-- $1 our backend, $2 queue, $3 count no further than this, $4 priorities and $5, in the same order,
-- due times or NULL: of these priorities nothing is counted that was due earlier. `next_due_in` is in
-- seconds, NULL when nothing pending lies ahead. `priorities`: those there are. Rows that another claim
-- is just taking count as due: if that claim dies, nobody would tell us.
WITH RECURSIVE priorities (priority) AS (
    SELECT (-1)::smallint WHERE mailroom_session($1::integer)
    UNION ALL
    SELECT (
        SELECT d.priority FROM deliveries AS d
        WHERE d.queue = $2::text::job_type AND d.priority > p.priority
        ORDER BY d.priority LIMIT 1
    )
    FROM priorities AS p WHERE p.priority IS NOT NULL
)
SELECT
    (
        SELECT count(*) FROM (
            SELECT 1 FROM priorities AS p
            LEFT JOIN unnest($4::smallint[], $5::timestamptz[]) AS u (priority, floor)
                ON u.priority = p.priority
            CROSS JOIN LATERAL (
                SELECT 1 FROM deliveries AS d
                WHERE d.queue = $2::text::job_type AND d.priority = p.priority
                  AND d.due_at <= now() AND d.state = 'pending'
                  AND d.due_at >= coalesce(u.floor, '-infinity')
                ORDER BY d.due_at LIMIT $3::bigint
            ) AS r
            LIMIT $3::bigint
        ) AS counted
    ) AS due,
    ARRAY(SELECT p.priority FROM priorities AS p WHERE p.priority >= 0) AS priorities,
    (
        SELECT extract(epoch FROM min(r.due_at) - now())::float8
        FROM priorities AS p CROSS JOIN LATERAL (
            SELECT d.due_at FROM deliveries AS d
            WHERE d.queue = $2::text::job_type AND d.priority = p.priority
              AND d.due_at > now() AND d.state = 'pending'
            ORDER BY d.due_at LIMIT 1
        ) AS r
    ) AS next_due_in;
