-- Requeue: of the deliveries taken, these are pending, logged and told to a collector; the others are not.
--
-- $1 tokens to be mailed, $2 tokens to be given back, both taken in this transaction, $3 seconds that
-- the first shall live at least (NULL: as long as they do). Returns how many are pending.
WITH back AS (
    DELETE FROM deliveries AS d WHERE d.token = ANY ($2::bigint[])
),
ours AS MATERIALIZED (
    SELECT d.token, d.attempts, d.action, d.promised_at, d.queue
    FROM deliveries AS d WHERE d.token = ANY ($1::bigint[])
    ORDER BY d.token FOR NO KEY UPDATE
),
short AS MATERIALIZED (
    SELECT t.id, extract(epoch FROM now())::bigint + $3::bigint AS expires_at
    FROM ours JOIN tokens AS t ON t.id = ours.token
    WHERE $3::bigint IS NOT NULL
    ORDER BY t.id FOR NO KEY UPDATE OF t
),
extended AS (
    UPDATE tokens AS t SET expires_at = short.expires_at
    FROM short WHERE t.id = short.id AND t.expires_at < short.expires_at
),
logged AS (
    INSERT INTO delivery_log (token, attempt, outcome, detail, action, promised_at)
    SELECT o.token, o.attempts, 'deferred', 'requeued by an operator', o.action, o.promised_at
    FROM ours AS o
)
SELECT (SELECT count(*) FROM ours) AS requeued, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT ours.queue FROM ours) AS q
) AS woken;
