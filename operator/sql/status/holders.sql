-- Holders: the collectors and senders that live now, and how many deliveries each holds.
--
-- Alive is who holds the lock of its number; only the role that registered can hold its holder's.
SELECT
    h.number, h.kind, h.host, h.pid, h.version,
    (extract(epoch FROM h.started) * 1000000)::bigint AS started,
    coalesce(d.dispatched, 0) AS dispatched, coalesce(d.sending, 0) AS sending
FROM pg_locks AS l
JOIN pg_stat_activity AS s ON s.pid = l.pid
JOIN holders AS h ON h.number = l.objid::bigint AND h.role = s.usesysid
LEFT JOIN (
    SELECT
        d.holder,
        count(*) FILTER (WHERE d.state = 'dispatched') AS dispatched,
        count(*) FILTER (WHERE d.state = 'sending') AS sending
    FROM deliveries AS d WHERE d.holder IS NOT NULL
    GROUP BY d.holder
) AS d ON d.holder = h.number
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.classid::bigint = mailroom_holder_class()
  AND l.database = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
ORDER BY h.kind, h.host, h.number;
