-- Take: these tokens have a delivery again, which nobody sees before this transaction commits.
--
-- $1 tokens, at most a batch, $2 whether they get more time: then theirs are held first, the order of
-- an application that uses one up. Returns those that had no delivery. Until the commit nobody else can
-- give them one, nor claim, begin or settle ours: what is asked after this, in a statement of its own,
-- stays true. Attempts are counted on from those there were.
WITH held AS MATERIALIZED (
    SELECT t.id FROM tokens AS t
    WHERE $2::boolean AND t.id = ANY ($1::bigint[])
    ORDER BY t.id FOR NO KEY UPDATE
)
INSERT INTO deliveries (token, action, queue, priority, attempts)
SELECT t.id, t.action, k.queue, k.priority, coalesce((
    SELECT max(l.attempt) FROM delivery_log AS l WHERE l.token = t.id
), 0)
FROM unnest($1::bigint[]) AS i (token)
JOIN tokens AS t ON t.id = i.token
JOIN actions AS k ON k.action = t.action
-- All are held before the first is taken.
WHERE (SELECT count(*) FROM held) >= 0
ORDER BY t.id
ON CONFLICT DO NOTHING
RETURNING token;
