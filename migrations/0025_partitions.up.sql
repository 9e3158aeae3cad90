-- The daily partitions of garmin_raw.notification, made and dropped on behalf of the owner: so a worker's role needs no
-- right to change the schema. Each takes nothing but a day, and works under the lock that one worker at a time holds.

CREATE FUNCTION garmin_raw.make_partition(day date) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF day NOT BETWEEN '0001-01-01' AND '9999-12-30' THEN
        RAISE datetime_field_overflow USING MESSAGE = 'no partition can be made for ' || day;
    END IF;
    PERFORM pg_advisory_xact_lock(x'61706f6c6c6f'::bigint);
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS garmin_raw.%I PARTITION OF garmin_raw.notification FOR VALUES FROM (%L) TO (%L)',
        to_char(day, '"notification_"YYYY_MM_DD'),
        to_char(day, 'YYYY-MM-DD"T00:00:00Z"'),
        to_char(day + 1, 'YYYY-MM-DD"T00:00:00Z"'));
END
$$;
COMMENT ON FUNCTION garmin_raw.make_partition(date) IS
    'Makes the partition of a day (UTC) if it is not there yet.';

CREATE FUNCTION garmin_raw.drop_partitions_before(oldest date) RETURNS SETOF text
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(x'61706f6c6c6f'::bigint);
    FOR name IN
        SELECT relname FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'garmin_raw.notification'::regclass
            AND relname < to_char(oldest, '"notification_"YYYY_MM_DD') COLLATE "C"
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE garmin_raw.%I', name);
        RETURN NEXT name;
    END LOOP;
END
$$;
COMMENT ON FUNCTION garmin_raw.drop_partitions_before(date) IS
    'Drops the partitions of the days before this one (UTC), and returns their names.';

REVOKE ALL ON FUNCTION garmin_raw.make_partition(date), garmin_raw.drop_partitions_before(date) FROM PUBLIC;
