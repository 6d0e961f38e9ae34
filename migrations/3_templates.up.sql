-- What a template may want to know beside the line: the account's language, and data of the token's.
BEGIN;

ALTER TABLE accounts ADD COLUMN locale varchar(35);
-- 4 kB: a call has up to fifty of them in memory.
ALTER TABLE tokens ADD COLUMN data jsonb
    CONSTRAINT data_of_a_token_is_an_object_of_4_kb_at_most
    CHECK (jsonb_typeof(data) = 'object' AND octet_length(data::text) <= 4096);

COMMENT ON COLUMN accounts.locale IS 'The language of its mail: en, pt-BR; NULL: the default';
COMMENT ON COLUMN tokens.data IS 'Variables for its template';

COMMIT;
