-- Overdue: how many deliveries of a queue have been due for a minute, counted up to a thousand, and for
-- how many seconds the first one.
--
-- $1 queue.
SELECT count(*) AS count, coalesce(max(extract(epoch FROM now() - o.due_at)), 0)::bigint AS seconds
FROM (
    SELECT d.due_at FROM deliveries AS d
    WHERE d.queue = (
            SELECT q.queue FROM unnest(enum_range(NULL::job_type)) AS q (queue)
            WHERE q.queue::text = $1::text
        )
      AND d.state = 'pending'
      AND d.due_at < now() - interval '1 minute'
    LIMIT 1000
) AS o;
