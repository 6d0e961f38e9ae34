-- Who may log in for Mailroom, once for a server, by somebody who may make roles:
--
--   psql -X -d app -f packaging/postgres/roles.sql
--   \password mailroom                   -- in psql, which sends the hash and not the password
--   \password mailroom_tool
--
-- `-v owner=app` says who migrates and owns the accounts, if not the owner of the database. Before the
-- first `mailroom migrate up` or after it, and again whenever you like: what is there already stays.
-- After it, the one who migrates then calls SELECT mailroom_roles(), which hands over what belongs to
-- mailroom_owner.
\set ON_ERROR_STOP on
\if :{?owner}
\else
    SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database() \gset
\endif

BEGIN;

-- What the rights are given to; docs/SCHEMA.md, Rights, says which. None of them can log in.
SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY[
    'mailroom_owner', 'mailroom_collector', 'mailroom_sender', 'mailroom_application',
    'mailroom_operator'
]) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

-- Who has them: the pipe (`mailroom run`), and the rest of the tool (`serve`, `status`, `purge`, …).
-- Without a password nobody logs in by one, but by the socket, as the system's user of that name.
SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['mailroom', 'mailroom_tool']) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

GRANT mailroom_owner TO :"owner";
GRANT mailroom_collector, mailroom_sender TO mailroom;
GRANT mailroom_operator TO mailroom_tool;

COMMIT;
