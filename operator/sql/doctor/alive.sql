-- Alive: how many collectors and senders there are now.
SELECT count(*) FILTER (WHERE h.kind = 'collector') AS collectors,
    count(*) FILTER (WHERE h.kind = 'sender') AS senders
FROM pg_locks AS l
-- Anybody may take a lock; only the role that registered can hold its holder's.
JOIN pg_stat_activity AS s ON s.pid = l.pid
JOIN holders AS h ON h.number = l.objid::bigint AND h.role = s.usesysid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.classid::bigint = mailroom_holder_class()
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
