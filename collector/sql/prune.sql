-- Prune: forget holders that have been gone for a day and hold nothing in any queue.
--
-- $1 our backend.
DELETE FROM holders AS h
WHERE mailroom_session($1::integer)
  AND h.missing_since < now() - interval '1 day'
  AND h.number NOT IN (SELECT d.holder FROM deliveries AS d WHERE d.holder IS NOT NULL);
