-- How the views read a value of a list or an open object, which holds whatever came. Each function returns
-- null, or nothing to go through, where the value is missing or of another kind; none of them ever fails. What
-- fits is what fits a column (design.md section 5, Fits). Each is one expression, so that PostgreSQL puts it
-- into the query that calls it.

CREATE FUNCTION garmin_wellness.json_text(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'string' THEN value #>> '{}' END;
COMMENT ON FUNCTION garmin_wellness.json_text IS 'A string.';

-- A number that is nearly zero rounds to zero; PostgreSQL's own cast raises an error.
CREATE FUNCTION garmin_wellness.json_float(value jsonb) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN
        CASE WHEN abs(value::numeric) < 2.2250738585072014e-308 THEN 0
             WHEN abs(value::numeric) <= 1.7976931348623157e308 THEN value::double precision END
    END;
COMMENT ON FUNCTION garmin_wellness.json_float IS 'A number, unless it is beyond double precision.';

CREATE FUNCTION garmin_wellness.json_integer(value jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN
        CASE WHEN value::numeric BETWEEN -2147483648 AND 2147483647 AND value::numeric = trunc(value::numeric)
             THEN value::integer END
    END;
COMMENT ON FUNCTION garmin_wellness.json_integer IS 'A whole number of 32 bits, however it is written.';

CREATE FUNCTION garmin_wellness.json_big_integer(value jsonb) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE jsonb_typeof(value)
        WHEN 'number' THEN
            CASE WHEN value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
                      AND value::numeric = trunc(value::numeric)
                 THEN value::bigint END
        WHEN 'string' THEN
            CASE WHEN value #>> '{}' ~ '^(0|-?[1-9][0-9]{0,17})$' THEN (value #>> '{}')::bigint END
    END;
COMMENT ON FUNCTION garmin_wellness.json_big_integer IS
    'A whole number of 64 bits, as a number or as a string of up to 18 digits.';

-- To the microsecond, as timestamptz is.
CREATE FUNCTION garmin_wellness.json_instant(value jsonb) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN
        CASE WHEN value::numeric BETWEEN -62135596800 AND 253402300799
             THEN to_timestamp(round(value::numeric, 6)::double precision) END
    END;
COMMENT ON FUNCTION garmin_wellness.json_instant IS 'A moment in Unix seconds, in the years 1 to 9999.';

CREATE FUNCTION garmin_wellness.json_list(value jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'array' THEN value ELSE '[]' END;
COMMENT ON FUNCTION garmin_wellness.json_list IS 'A list; an empty one where there is none.';

CREATE FUNCTION garmin_wellness.json_open_object(value jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(value) = 'object' THEN value ELSE '{}' END;
COMMENT ON FUNCTION garmin_wellness.json_open_object IS 'An object; an empty one where there is none.';

CREATE FUNCTION garmin_wellness.series_offset(key text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN key ~ '^(0|-?[1-9][0-9]{0,8})$' THEN key::integer END;
COMMENT ON FUNCTION garmin_wellness.series_offset IS
    'The seconds that a key of a series says: a whole number of up to 9 digits.';
