-- Settled: deliveries that ended with this outcome and have it still, newest first, by the log's index.
--
-- $1 outcome, $2 and $3 from and up to, in microseconds since 1970 (NULL: any time), $4 action (NULL:
-- any), $5 what their detail contains (NULL: anything), $6 rows of the log examined at most.
-- Every row says how many were `examined` and how far back that `reached`: fewer than $6 means that
-- there is nothing else. One row with `token` NULL when none fits. What was requeued, or has another
-- outcome by now, does not.
WITH examined AS MATERIALIZED (
    SELECT e.ctid AS place, e.token, e.action, e.attempt, e.at, e.outcome, e.transport, e.detail
    FROM delivery_log AS e
    WHERE e.outcome = $1::text::delivery_outcome
      AND e.at >= coalesce(to_timestamp(0) + $2::bigint * interval '1 microsecond', '-infinity')
      AND e.at <= coalesce(to_timestamp(0) + $3::bigint * interval '1 microsecond', 'infinity')
    ORDER BY e.at DESC LIMIT $6::bigint
),
fitting AS MATERIALIZED (
    SELECT e.*, t.account, coalesce(e.action, t.action)::text AS label
    FROM examined AS e
    LEFT JOIN tokens AS t ON t.id = e.token
    WHERE ($5::text IS NULL OR strpos(lower(e.detail), lower($5::text)) > 0)
      AND ($4::text IS NULL OR coalesce(e.action, t.action)::text = $4::text)
      AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.token = e.token)
      AND e.place = (
          SELECT l.ctid FROM delivery_log AS l
          WHERE l.token = e.token ORDER BY (l.outcome = 'sent') DESC, l.at DESC LIMIT 1
      )
)
SELECT
    r.examined, r.reached,
    f.token, f.label AS action, f.account, f.outcome::text AS state, f.attempt AS attempts,
    f.transport, f.detail,
    (extract(epoch FROM f.at) * 1000000)::bigint AS at
FROM (
    SELECT count(*) AS examined, (extract(epoch FROM min(e.at)) * 1000000)::bigint AS reached
    FROM examined AS e
) AS r
LEFT JOIN fitting AS f ON true
ORDER BY f.at DESC;
