-- Purge: what the log has no need of any more is deleted, oldest first.
--
-- $1 seconds that `sent` and what is not final is kept, $2 those that anything else is, $3 rows at most.
-- Returns how many: 0 means that there is nothing to delete, or that it has not been counted yet.
SELECT mailroom_purge(
    now() - $1::float8 * interval '1 second', now() - $2::float8 * interval '1 second', $3::integer
) AS deleted;
