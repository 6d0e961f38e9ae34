-- Release: what we dispatched and nobody has begun is pending again, at once.
--
-- $1 our backend, $2 our holder number. Returns how many.
-- For when the reader of our lines is gone. Rows being begun this moment are passed over: they are
-- the sender's.
WITH mine AS MATERIALIZED (
    SELECT d.token FROM deliveries AS d
    WHERE mailroom_session($1::integer) AND d.holder = $2::integer AND d.state = 'dispatched'
    ORDER BY d.token FOR NO KEY UPDATE SKIP LOCKED
),
released AS (
    UPDATE deliveries AS d SET state = 'pending', holder = NULL, dispatched_at = NULL
    FROM mine WHERE d.token = mine.token
    RETURNING d.queue
)
SELECT (SELECT count(*) FROM released) AS released, (
    SELECT count(mailroom_wake(q.queue)::text) FROM (SELECT DISTINCT queue FROM released) AS q
) AS woken;
