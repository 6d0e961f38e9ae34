-- Fence: after this, no statement of our former session can still take effect.
--
-- $1 the number that session held, $2 when it was registered, in microseconds since 1970. Its backend
-- may live on where we lost the connection and the server has not noticed; it is ended. `ended` when
-- nobody holds the number any more; `ours` unless the number means somebody else now, which it can
-- after a failover to a standby that had not heard of us.
WITH former AS MATERIALIZED (
    SELECT h.number, h.role FROM holders AS h
    WHERE h.number = $1::integer AND (extract(epoch FROM h.started) * 1000000)::bigint = $2::bigint
)
SELECT
    EXISTS (SELECT FROM former) AS ours,
    coalesce(bool_and(pg_terminate_backend(l.pid, 5000)), true) AS ended
FROM former JOIN pg_locks AS l ON l.objid::bigint = former.number
-- Somebody else's lock on that number is not our session.
JOIN pg_stat_activity AS s ON s.pid = l.pid AND s.usesysid = former.role
WHERE l.locktype = 'advisory'
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
  AND l.classid::bigint = mailroom_holder_class()
  AND l.objsubid = 2
  AND l.pid <> pg_backend_pid();
