-- Disarm: we stay awake, so nobody needs to notify.
--
-- $1 our backend, $2 queue.
SELECT pg_advisory_unlock(mailroom_gate_class(), mailroom_gate($2::text::job_type)) AS disarmed
WHERE mailroom_session($1::integer);
