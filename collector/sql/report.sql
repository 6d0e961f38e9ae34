-- Report: move the queue's cursor to the highest token handed over. Nothing is decided by it.
--
-- $1 our backend, $2 queue, $3 token.
UPDATE jobs SET last_seq = $3::bigint
WHERE mailroom_session($1::integer)
  AND job_type = $2::text::job_type AND last_seq < $3::bigint;
