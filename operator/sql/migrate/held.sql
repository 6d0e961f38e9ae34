-- Says whether this very session holds all these locks: behind a transaction pooler another one may answer.
SELECT count(DISTINCT l.objid) = cardinality($1::bigint[])
FROM pg_locks AS l
JOIN pg_database AS d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND l.granted
    AND l.pid = pg_backend_pid()
    AND d.datname = current_database()
    AND l.classid::bigint << 32 | l.objid::bigint = ANY ($1)
    AND l.objsubid = 1
