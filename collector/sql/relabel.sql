-- Relabel: after a reconnect the lines we have written are still on their way, so they stay ours.
--
-- $1 our backend, $2 our new holder number, $3 the old one, whose session has ended, $4 when
-- the last claim was made whose lines were written. Rows claimed later never became a line: they are
-- pending again. Returns how many were kept and how many went back.
WITH old AS MATERIALIZED (
    SELECT d.token, d.dispatched_at <= $4::timestamptz AS written
    FROM deliveries AS d
    WHERE mailroom_session($1::integer) AND d.holder = $3::integer AND d.state = 'dispatched'
    ORDER BY d.token FOR NO KEY UPDATE
),
kept AS (
    UPDATE deliveries AS d SET holder = $2::integer
    FROM old WHERE d.token = old.token AND old.written
    RETURNING d.token
),
released AS (
    UPDATE deliveries AS d SET state = 'pending', holder = NULL, dispatched_at = NULL
    FROM old WHERE d.token = old.token AND NOT old.written
    RETURNING d.queue
)
SELECT (SELECT count(*) FROM kept) AS kept, (SELECT count(*) FROM released) AS released, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT queue FROM released) AS q
) AS woken;
