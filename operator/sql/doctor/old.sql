-- Old: what keeps PostgreSQL from cleaning up after deliveries, and for how many seconds it has done so.
-- Of sessions that are not its own, a login sees the age only as a member of pg_read_all_stats.
SELECT o.kind, count(*) AS count, max(extract(epoch FROM now() - o.since))::bigint AS seconds
FROM (
    SELECT 'session' AS kind, s.xact_start AS since FROM pg_stat_activity AS s
    WHERE s.datname = current_database() AND s.pid <> pg_backend_pid()
    UNION ALL
    SELECT 'prepared', p.prepared FROM pg_prepared_xacts AS p
    WHERE p.database = current_database()
) AS o
WHERE o.since < now() - interval '10 minutes'
GROUP BY o.kind ORDER BY o.kind;
