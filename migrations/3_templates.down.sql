-- Templates know the line again, and nothing else.
BEGIN;

ALTER TABLE tokens DROP COLUMN data;
ALTER TABLE accounts DROP COLUMN locale;

COMMIT;
