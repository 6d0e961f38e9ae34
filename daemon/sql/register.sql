-- Register: takes a new holder number and its session lock in one statement, so that nobody ever
-- sees a number of the living without its lock. Committed durably: a number is never taken again.
-- `locked` is false when somebody who is none of ours has the lock: then another number is taken.
--
-- $1 kind, $2 host, $3 pid, $4 version.
WITH registered AS (
    INSERT INTO holders (kind, host, pid, version)
    VALUES ($1::text, $2::text, $3::integer, $4::text)
    RETURNING number, started
)
SELECT r.number, (extract(epoch FROM r.started) * 1000000)::bigint AS started,
    pg_backend_pid() AS backend,
    pg_try_advisory_lock(mailroom_holder_class(), r.number) AS locked
FROM registered AS r;
