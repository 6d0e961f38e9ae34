-- Login: whose session this is, and whether it has the rights of a role.
--
-- $1 the role, which need not be there.
SELECT quote_ident(session_user) AS login,
    EXISTS (
        SELECT FROM pg_roles AS r
        WHERE r.rolname = $1::text AND pg_has_role(session_user, r.oid, 'USAGE')
    ) AS is_member;
