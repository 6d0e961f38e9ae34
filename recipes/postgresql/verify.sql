-- Verifies the token of a link inside PostgreSQL alone, for an application that cannot, and uses it up.
--
--   SELECT account, data, refusal FROM consume_link('password_recovery', $1, $2);
--
-- $1 is the last segment of the link, $2 the code that the visitor typed, or NULL. In one step it does
-- what consume_token does, and has one more refusal: 'forged'.
--
-- Install as the role that migrated, in Mailroom's schema:
--   psql -X -1 -v ON_ERROR_STOP=1 -f verify.sql
-- and put the key in without showing it to psql's history or the server's log: see README.md.

-- Read by the function below and by nobody else. More than one row while a key is being rotated.
CREATE TABLE link_keys (
    key   bytea       PRIMARY KEY CONSTRAINT key_is_32_bytes CHECK (octet_length(key) = 32),
    added timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON link_keys FROM PUBLIC;

-- The 32 bytes that find the token's row, or NULL: not ours, for whatever reason.
--
-- Signatures are compared in constant time as far as anybody outside can tell: `=` on bytea stops at
-- the first difference, so both sides are put through HMAC with a key that is new at each call, and
-- where those results differ says nothing of the signature that would have been right.
CREATE FUNCTION link_secret(keys bytea[], path text, code_signed boolean, token text, code text)
RETURNS bytea LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$
DECLARE
    blind CONSTANT bytea := gen_random_bytes(32);
    bytes bytea;
    secret bytea;
    message bytea;
    key bytea;
    good boolean := false;
BEGIN
    -- 64 bytes have one spelling: 86 characters, the last of which carries two bits. Length first:
    -- a pattern is not tried on a megabyte.
    IF token IS NULL OR length(token) <> 86 OR token !~ '^[A-Za-z0-9_-]{85}[AQgw]$' COLLATE "C" THEN
        RETURN NULL;
    END IF;
    IF code_signed AND (code IS NULL OR length(code) <> 5 OR code !~ '^[0-9]{5}$' COLLATE "C") THEN
        RETURN NULL;
    END IF;
    bytes := decode(translate(token, '-_', '+/') || '==', 'base64');
    secret := substring(bytes FROM 1 FOR 32);
    message := convert_to(path, 'UTF8') || secret;
    IF code_signed THEN
        message := message || convert_to(code, 'UTF8');
    END IF;
    FOREACH key IN ARRAY keys LOOP
        good := hmac(hmac(message, key, 'sha256'), blind, 'sha256')
              = hmac(substring(bytes FROM 33), blind, 'sha256') OR good;
    END LOOP;
    RETURN CASE WHEN good THEN secret END;
END
$$;

-- Verifies, and then uses up, exactly once. Runs with its owner's rights, for the keys' sake.
CREATE FUNCTION consume_link(action token_action, token text, code text DEFAULT NULL)
RETURNS TABLE (account bigint, data jsonb, refusal text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    secret CONSTANT bytea := (
        SELECT link_secret(
            ARRAY(SELECT k.key FROM link_keys AS k), a.path, a.code_signed,
            consume_link.token, consume_link.code
        )
        FROM actions AS a WHERE a.action = consume_link.action
    );
BEGIN
    IF secret IS NULL THEN
        RETURN QUERY SELECT NULL::bigint, NULL::jsonb, 'forged';
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM consume_token(secret, consume_link.action);
END
$$;

REVOKE ALL ON FUNCTION consume_link(token_action, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consume_link(token_action, text, text) TO mailroom_application;

-- What runs with its owner's rights looks here and nowhere else; temporary tables come last.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION consume_link(token_action, text, text) SET search_path = pg_catalog, %I, pg_temp',
        current_schema()
    );
END
$$;
