-- Totals: what happened since the beginning, by action, outcome and bucket of the time it took; never
-- less than before, whatever is purged.
SELECT action, outcome, bucket, count, seconds FROM mailroom_totals();
