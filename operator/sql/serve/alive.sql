-- Alive: how many collectors and senders hold the lock of their number; a row for each kind, also
-- where there is none.
WITH alive AS (
    -- Anybody may take a lock; only the role that registered can hold its holder's.
    SELECT DISTINCT h.number, h.kind FROM pg_locks AS l
    JOIN pg_stat_activity AS s ON s.pid = l.pid
    JOIN holders AS h ON h.number = l.objid::bigint AND h.role = s.usesysid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
      AND l.classid::bigint = mailroom_holder_class()
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
)
SELECT kinds.kind, count(alive.number) AS alive
FROM (VALUES ('collector'), ('sender')) AS kinds (kind)
LEFT JOIN alive ON alive.kind = kinds.kind
GROUP BY kinds.kind ORDER BY kinds.kind;
