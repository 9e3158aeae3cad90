DROP FUNCTION garmin_raw.drop_partitions_before(date);
DROP FUNCTION garmin_raw.make_partition(date);
