-- Version: which migration the schema is at, and whether it went through.
SELECT v.version, v.dirty FROM schema_migrations AS v LIMIT 1;
