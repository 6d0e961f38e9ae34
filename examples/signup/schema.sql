-- What the application keeps beside Mailroom's own tables. An account has no password until its owner
-- has shown, by following a link, that the address is theirs: whoever signs up with somebody else's
-- address cannot leave a password waiting for them.
CREATE TABLE passwords (
    account bigint PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    hash    text   NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON passwords TO mailroom_application;
