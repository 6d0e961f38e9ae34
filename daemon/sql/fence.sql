-- Fence: after this, no statement of our former session can still take effect.
--
-- $1 the number that session held. Its backend may live on where we lost the connection and the
-- server has not noticed; it is ended. True when nobody holds the number any more.
SELECT coalesce(bool_and(pg_terminate_backend(l.pid, 5000)), true) AS ended
FROM pg_locks AS l
WHERE l.locktype = 'advisory'
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
  AND l.classid::bigint = mailroom_holder_class()
  AND l.objid::bigint = $1::integer
  AND l.objsubid = 2
  AND l.pid <> pg_backend_pid();
