-- Version: the row that golang-migrate keeps, if there is one.
SELECT m.version::bigint AS version, m.dirty FROM schema_migrations AS m;
