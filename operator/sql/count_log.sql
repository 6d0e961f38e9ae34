-- Count the log: adds a stretch of what is settled for good to the totals, so that they need not read
-- it again and a purge may delete it. True: there is more to count.
SELECT mailroom_count_log();
