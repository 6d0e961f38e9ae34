-- Queues: all there are.
SELECT j.job_type::text AS queue FROM jobs AS j ORDER BY 1;
