-- Takes a lock of golang-migrate's for this session if it is free, and never waits: a statement that
-- waits keeps a snapshot, which a CREATE INDEX CONCURRENTLY of the one who holds the lock would wait for.
SELECT pg_try_advisory_lock($1)
