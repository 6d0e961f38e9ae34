#!/bin/sh
# Run once by the postgres image, in /docker-entrypoint-initdb.d, when it makes a new cluster: the
# application's role, which owns the database and migrates it, and those of Mailroom. Their passwords
# are those of the URLs that scripts/secrets made.
set -eu

secrets=${MAILROOM_SECRETS:-/run/secrets}
roles=${MAILROOM_ROLES:-/usr/share/mailroom/roles.sql}

sql() { psql -X --quiet --no-password -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"; }

password() { # <role> <file with its URL>
    rest=$(cat "$2")
    rest=${rest#*://*:}
    # Through stdin, since a command line is everybody's.
    printf '%s\n' "\\set password '${rest%%@*}'" "ALTER ROLE $1 PASSWORD :'password';" | sql
}

sql <<'SQL'
CREATE ROLE app LOGIN;
SELECT format('ALTER DATABASE %I OWNER TO app', current_database()) \gexec
SQL
sql -v owner=app -f "$roles"

password app "$secrets/owner_url"
password mailroom "$secrets/mailroom_url"
password mailroom_tool "$secrets/tool_url"
