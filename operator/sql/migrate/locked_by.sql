-- Says who holds a lock of golang-migrate's.
SELECT a.pid, a.application_name
FROM pg_locks AS l
JOIN pg_database AS d ON d.oid = l.database
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted
    AND d.datname = current_database()
    AND l.classid = ($1::bigint >> 32)::oid
    AND l.objid = ($1::bigint & 4294967295)::oid
    AND l.objsubid = 1
