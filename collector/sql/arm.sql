-- Arm: before we sleep, take the gate exclusively, so that whoever makes a delivery pending notifies.
--
-- $1 our backend, $2 queue. False when a transaction passed the gate silently and is still open, or
-- another collector holds it. What was committed before is seen by look, which runs after this as a
-- statement of its own.
SELECT pg_try_advisory_lock(mailroom_gate_class(), mailroom_gate($2::text::job_type)) AS armed
WHERE mailroom_session($1::integer);
