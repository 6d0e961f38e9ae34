-- What the application did, kept where a rollback undoes it too and a deleted account does not.
CREATE SCHEMA soak;

-- ended_at: when the token was used or deleted.
CREATE TABLE soak.tokens (
    id         bigint PRIMARY KEY,
    secret     bytea  NOT NULL,
    account    bigint NOT NULL,
    action     text   NOT NULL,
    expires_at bigint NOT NULL,
    ended_at   timestamptz
);

-- until: when the account gave the address up; NULL while it has it.
CREATE TABLE soak.addresses (
    account bigint NOT NULL,
    email   text   NOT NULL,
    until   timestamptz
);

CREATE INDEX ON soak.addresses (account);

CREATE FUNCTION soak.note_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO soak.tokens
        VALUES (NEW.id, NEW.secret, NEW.account, NEW.action, NEW.expires_at, NULL);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE soak.tokens SET ended_at = coalesce(ended_at, clock_timestamp()) WHERE id = OLD.id;
    ELSE
        UPDATE soak.tokens
        SET expires_at = NEW.expires_at,
            ended_at = CASE WHEN NEW.consumed_at IS NOT NULL
                THEN coalesce(ended_at, clock_timestamp()) END
        WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION soak.note_address() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE soak.addresses SET until = clock_timestamp() WHERE account = NEW.id AND until IS NULL;
    INSERT INTO soak.addresses VALUES (NEW.id, NEW.email, NULL);
    RETURN NULL;
END
$$;

CREATE TRIGGER note_token AFTER INSERT OR DELETE OR UPDATE OF expires_at, consumed_at ON tokens
    FOR EACH ROW EXECUTE FUNCTION soak.note_token();
CREATE TRIGGER note_address AFTER INSERT OR UPDATE OF email ON accounts
    FOR EACH ROW EXECUTE FUNCTION soak.note_address();

-- So long that the story of a token cannot end by itself.
ALTER TABLE tokens ALTER COLUMN expires_at
    SET DEFAULT extract(epoch FROM now() + interval '1 day');
