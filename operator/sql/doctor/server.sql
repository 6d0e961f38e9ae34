-- Server: what it is, what time it has, how many connections it has left, and who we are to it.
SELECT
    current_setting('server_version_num')::integer AS version_number,
    current_setting('server_version') AS version,
    extract(epoch FROM clock_timestamp())::double precision AS now,
    pg_is_in_recovery() AS standby,
    current_setting('default_transaction_read_only')::boolean AS read_only,
    current_setting('max_connections')::bigint AS connections_max,
    current_setting('max_connections')::bigint
        - current_setting('superuser_reserved_connections')::bigint
        - coalesce(current_setting('reserved_connections', true)::bigint, 0)
        -- Without the two that ask.
        - (SELECT sum(s.numbackends) FROM pg_stat_database AS s WHERE s.datid <> 0)::bigint + 2
        AS connections_free,
    session_user::text AS login,
    current_database()::text AS database;
