-- Check, at the start: the channel that the triggers notify, and whether the queue exists.
--
-- $1 queue.
SELECT mailroom_channel() AS channel,
    EXISTS (SELECT FROM jobs WHERE job_type::text = $1::text) AS queue_exists;
