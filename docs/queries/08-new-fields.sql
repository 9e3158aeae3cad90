-- What Garmin sends that Apollo has no column for yet, in one table: fields by how many rows have them.
SELECT field, count(*) AS rows, min(received_at) AS first_seen
FROM garmin_wellness.sleep_summary
CROSS JOIN LATERAL jsonb_object_keys(extra) AS field
GROUP BY field
ORDER BY rows DESC;
