-- History: what happened to the mail of these tokens, oldest first, of each the newest $2 events.
--
-- $1 tokens.
SELECT l.token, l.attempt, l.outcome::text AS outcome, l.transport, l.provider_id, l.detail,
    (extract(epoch FROM l.at) * 1000000)::bigint AS at
FROM unnest($1::bigint[]) AS i (token)
CROSS JOIN LATERAL (
    SELECT * FROM delivery_log AS e WHERE e.token = i.token ORDER BY e.at DESC LIMIT $2::bigint
) AS l
ORDER BY l.token, l.at;
