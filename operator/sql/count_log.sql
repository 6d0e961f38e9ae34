-- Count: a bounded step of adding the log up. Only what has been added up may be purged.
--
-- `more`: there is more to add up.
SELECT mailroom_count_log() AS more;
