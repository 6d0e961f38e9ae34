-- Login: whose session this is, whether it has the rights of a role, and whether it has an operator's
-- and those of neither half.
--
-- $1 the role, which need not be there.
WITH mine AS (
    SELECT r.rolname::text AS role FROM pg_roles AS r
    WHERE r.rolname IN (
            $1::text, 'mailroom_collector', 'mailroom_sender', 'mailroom_operator'
        )
      AND pg_has_role(session_user, r.oid, 'USAGE')
)
SELECT quote_ident(session_user) AS login,
    EXISTS (SELECT FROM mine WHERE mine.role = $1::text) AS is_member,
    coalesce(bool_or(mine.role = 'mailroom_operator'), false)
        AND NOT coalesce(bool_or(mine.role IN ('mailroom_collector', 'mailroom_sender')), false)
        AS only_operates
FROM mine;
