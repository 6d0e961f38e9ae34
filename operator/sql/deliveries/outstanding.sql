-- Outstanding: deliveries not settled yet, by token, which is the order they were asked for.
--
-- $1 state, $2 action (NULL: any), $3 and $4 promised from and before, in microseconds since 1970
-- (NULL: any time), $5 only tokens above this, $6 rows at most. With what happened to each last.
SELECT
    d.token, coalesce(d.action, t.action)::text AS action, d.state::text AS state, d.attempts, t.account,
    (extract(epoch FROM d.promised_at) * 1000000)::bigint AS promised_at,
    (extract(epoch FROM d.due_at) * 1000000)::bigint AS due_at,
    l.outcome::text AS last_outcome, l.detail
FROM (
    SELECT * FROM deliveries AS o
    WHERE o.token > $5::bigint
      AND ($1::text IS NULL OR o.state::text = $1::text)
      AND ($2::text IS NULL OR $2::text = coalesce(o.action, (
          SELECT k.action FROM tokens AS k WHERE k.id = o.token
      ))::text)
      AND o.promised_at >= coalesce(to_timestamp(0) + $3::bigint * interval '1 microsecond', '-infinity')
      AND o.promised_at < coalesce(to_timestamp(0) + $4::bigint * interval '1 microsecond', 'infinity')
    ORDER BY o.token LIMIT $6::bigint
) AS d
LEFT JOIN tokens AS t ON t.id = d.token
LEFT JOIN LATERAL (
    SELECT e.outcome, e.detail FROM delivery_log AS e
    WHERE e.token = d.token ORDER BY e.at DESC LIMIT 1
) AS l ON true
ORDER BY d.token;
