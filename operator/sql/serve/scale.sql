-- Scale: the upper bounds of the buckets in seconds, and all outcomes there are.
SELECT mailroom_latency_bounds() AS bounds, enum_range(NULL::delivery_outcome)::text[] AS outcomes;
