-- Relabel: after a reconnect, the rows of calls still under way belong to our new session; every
-- other row of the old one was never sent, because its call had not started, and goes back at once.
--
-- $1 our backend, $2 our new holder number, $3 the old one, whose session has ended, $4 the tokens
-- of calls that have started. Rows that a sweep took meanwhile are no longer labelled $3.
WITH old AS MATERIALIZED (
    SELECT d.token, d.token = ANY ($4::bigint[]) AS in_call FROM deliveries AS d
    WHERE mailroom_session($1::integer) AND d.holder = $3::integer AND d.state = 'sending'
    ORDER BY d.token FOR NO KEY UPDATE
),
kept AS (
    UPDATE deliveries AS d SET holder = $2::integer
    FROM old WHERE d.token = old.token AND old.in_call
    RETURNING d.token
),
returned AS (
    UPDATE deliveries AS d
    SET state = 'pending', holder = NULL, dispatched_at = NULL, attempts = d.attempts - 1
    FROM old WHERE d.token = old.token AND NOT old.in_call
    RETURNING d.queue
)
SELECT (SELECT count(*) FROM kept) AS kept, (SELECT count(*) FROM returned) AS returned, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT returned.queue FROM returned) AS q
) AS woken;
