-- Clock: what time the database has, in microseconds since 1970. Ages are told by its clock, not ours.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now;
