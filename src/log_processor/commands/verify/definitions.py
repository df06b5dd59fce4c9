"""The definitions of docs/glossary.md in SQL: what a request is, its endpoint, and the figures of a day.

They are written a second time here, so that `verify` shares no definition with what it checks.
"""

LONGEST_LINE = 65_536
"""Bytes of a line. A longer line is rejected."""
SEGMENTS = 10
"""Segments of a path that its template keeps."""
LENGTH = 120
"""Characters of a template."""
IS_CLIENT_ERROR = "status BETWEEN 400 AND 499"
IS_SERVER_ERROR = "(status BETWEEN 500 AND 599 OR status = 0)"
"""Of a request, whose status is 0 where none was logged."""
RESERVED = r"\\*\((other|forgotten)\)"
"""Matches names, of customers and of endpoints, that are counted with a backslash before them."""
_IS_RESERVED = f"ends_with({{name}}, ')') AND regexp_full_match({{name}}, '{RESERVED}')"
_COUNTED_AS = f"CASE WHEN {_IS_RESERVED} THEN '\\' ELSE '' END || {{name}}"

TABLES = """
CREATE TABLE counted (
    log VARCHAR,            -- NULL: stored requests, whose lines are in no file
    stage INTEGER,        -- see Recount
    reason VARCHAR,         -- why these lines are no requests, or SKIPPED, or LOST; NULL: they are requests
    customer VARCHAR,       -- this and the following: of requests
    day INTEGER,            -- UTC, since 1970-01-01
    status INTEGER,         -- 0: none was logged
    ms INTEGER,             -- latency, half up
    lines BIGINT
);
CREATE TABLE divided (
    stage INTEGER,
    customer VARCHAR,       -- NULL: all together
    day INTEGER,
    part INTEGER,           -- quarter hour of the day; NULL: any
    path VARCHAR,           -- the template of the path; NULL: any
    method VARCHAR,         -- '': none was logged, or counted
    is_own BOOLEAN,         -- whether it is an own template, which always has a name
    lines BIGINT,
    successful BIGINT,
    client_errors BIGINT,
    server_errors BIGINT,
    timed BIGINT,           -- requests that have a latency
    ms HUGEINT,             -- sum of these latencies
    squares HUGEINT,        -- sum of their squares
    sized BIGINT,           -- requests whose response's size is counted
    bytes HUGEINT           -- sum of these sizes
);
CREATE TABLE mended (
    log VARCHAR,
    stage INTEGER,
    kind VARCHAR,           -- what was mended
    lines BIGINT
);
CREATE TABLE wanted (customer VARCHAR, day INTEGER, last_stage INTEGER);
"""

# Judges each line. The reasons come in the order in which a line is judged.
JUDGE_LINES = rf"""
CREATE TEMP TABLE judged AS
WITH raw_lines AS (SELECT unnest(string_split($text, chr(10))) AS raw),
lines AS (SELECT raw, CASE WHEN ends_with(raw, chr(13)) THEN left(raw, -1) ELSE raw END AS line FROM raw_lines),
divided AS (SELECT raw, line, string_split(line, ' ') AS field FROM lines),
named AS (
    SELECT
        raw,
        line,
        field,
        field[1] || ' ' || field[2] AS stamp,
        field[3] AS customer,
        field[4] AS path,
        field[5] AS status,
        field[6] AS duration,
        try_cast(field[1] AS DATE) AS date,
        try_cast(field[6] AS DECIMAL(8, 3)) AS seconds  -- rounds half up
    FROM divided
),
judged AS (
    SELECT
        *,
        date - DATE '1970-01-01' AS day,
        CASE
            WHEN strlen(raw) > {LONGEST_LINE} THEN 'too_long'
            WHEN line = '' THEN 'empty'
            WHEN regexp_matches(line, '\p{{Cc}}') THEN 'control_character'
            WHEN len(field) <> 6 OR list_contains(field, '') THEN 'fields'
            WHEN NOT regexp_full_match(stamp, '\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d') THEN 'time'
            WHEN date IS NULL OR date NOT BETWEEN DATE '1970-01-01' AND DATE '2199-12-31' THEN 'time'
            WHEN stamp[12:13] > '23' OR stamp[15:16] > '59' OR stamp[18:19] > '59' THEN 'time'
            WHEN strlen(customer) > 256 THEN 'customer'
            WHEN NOT regexp_full_match(status, '[1-5]\d\d') THEN 'status'
            WHEN NOT regexp_full_match(duration, '\d+(\.\d+)?') THEN 'duration'
            WHEN seconds IS NULL OR seconds > 86400 THEN 'duration'
            WHEN regexp_matches(duration, '^0*86400\.0*[1-9]') THEN 'duration'
            WHEN day < $oldest_day THEN 'too_old'
            WHEN epoch(try_cast(stamp AS TIMESTAMP)) > $latest_second THEN 'too_new'
        END AS reason
    FROM named
)
SELECT
    NULL AS reason,
    {_COUNTED_AS.format(name="customer")} AS customer,
    day,
    stamp[12:13]::INTEGER * 4 + stamp[15:16]::INTEGER // 15 AS part,
    path,
    status::INTEGER AS status,
    (1000 * seconds)::INTEGER AS ms,
    '' AS method,
    NULL::BIGINT AS size
FROM judged WHERE reason IS NULL
UNION ALL BY NAME
SELECT reason, '' AS method FROM judged WHERE reason IS NOT NULL
"""

# The requests that a parser has found. Columns hold numbers; customers and paths are places in $names and $paths.
JUDGE_REQUESTS = f"""
CREATE TEMP TABLE judged AS
SELECT
    NULL AS reason,
    {_COUNTED_AS.format(name="($names::VARCHAR[])[customer + 1]")} AS customer,
    day,
    part,
    ($paths::VARCHAR[])[path + 1] AS path,
    status,
    CASE WHEN ms >= 0 THEN ms END AS ms,
    ($methods::VARCHAR[])[method + 1] AS method,
    CASE WHEN size >= 0 THEN size END AS size
FROM columns
UNION ALL BY NAME
SELECT unnest($reasons::VARCHAR[]) AS reason, '' AS method
"""

COUNT = """
INSERT INTO counted SELECT $log, $stage, reason, customer, day, status, ms, $sign * count(*) FROM judged GROUP BY ALL
"""
METHODS = "('', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH')"
# The endpoint of a request is the template of its path, and its method. $own_paths: those with an own template, and
# $own_templates: these templates.
COUNT_PARTS_AND_ENDPOINTS = rf"""
INSERT INTO divided
WITH paths AS (SELECT DISTINCT path FROM judged WHERE reason IS NULL),
own AS (SELECT unnest($own_paths::VARCHAR[]) AS path, unnest($own_templates::VARCHAR[]) AS template),
-- A path that is nothing but a query is the root.
cut AS (
    SELECT path, string_split(regexp_replace(regexp_replace(path, '^[?#]', '/?'), '[?#].*', '', 's'), '/') AS segments
    FROM paths
),
named AS (
    SELECT
        path,
        array_to_string(list_transform(segments[:{SEGMENTS + 1}], lambda segment:
            CASE
                WHEN regexp_full_match(segment, '[0-9]+|[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}')
                OR regexp_full_match(segment, '[0-9a-fA-F]{{16,}}')
                OR (
                    regexp_full_match(segment, '[0-9a-zA-Z_-]{{20,}}')
                    AND regexp_matches(segment, '[0-9]')
                    AND regexp_matches(segment, '[a-zA-Z]')
                )
                THEN '{{id}}'
                ELSE segment
            END
        ), '/') || CASE WHEN len(segments) > {SEGMENTS + 1} THEN '/…' ELSE '' END AS text
    FROM cut
),
templates AS (
    SELECT path, CASE WHEN length(text) > {LENGTH} THEN left(text, {LENGTH - 1}) || '…' ELSE text END AS template
    FROM named
),
endpoints AS (
    SELECT
        path,
        {_COUNTED_AS.format(name="coalesce(own.template, templates.template)")} AS template,
        own.template IS NOT NULL AS is_own
    FROM templates LEFT JOIN own USING (path)
),
requests AS (
    SELECT
        judged.* EXCLUDE (path, method, size),
        template AS path,
        is_own,
        CASE WHEN NOT $counts_methods THEN '' WHEN method IN {METHODS} THEN method ELSE '(other)' END AS method,
        CASE WHEN $counts_methods THEN size END AS size
    FROM judged JOIN endpoints USING (path)
    WHERE reason IS NULL
)
SELECT
    $stage,
    customer,
    day,
    part,
    path,
    method,
    is_own,
    $sign * count(*),
    $sign * count(*) FILTER (WHERE status BETWEEN 200 AND 399),
    $sign * count(*) FILTER (WHERE {IS_CLIENT_ERROR}),
    $sign * count(*) FILTER (WHERE {IS_SERVER_ERROR}),
    $sign * count(ms),
    $sign * coalesce(sum(ms), 0),
    $sign * coalesce(sum(ms::HUGEINT * ms::HUGEINT), 0),
    $sign * count(size),
    $sign * coalesce(sum(size), 0)
FROM requests
GROUP BY GROUPING SETS (
    (customer, day, part), (customer, day, path, method, is_own), (day, part, path, method, is_own)
)
"""
SUMS = {
    **dict.fromkeys(("lines", "successful", "client_errors", "server_errors", "timed"), "BIGINT"),
    **dict.fromkeys(("ms", "squares"), "HUGEINT"),
    **{"sized": "BIGINT", "bytes": "HUGEINT"},
}
"""Columns of `divided` that are added up -> type."""
MERGE = {
    "counted": """
CREATE OR REPLACE TABLE counted AS
SELECT log, stage, reason, customer, day, status, ms, sum(lines)::BIGINT AS lines FROM counted GROUP BY ALL
HAVING sum(lines) <> 0
""",
    "divided": f"""
CREATE OR REPLACE TABLE divided AS
SELECT
    stage, customer, day, part, path, method, is_own,
    {", ".join(f"sum({column})::{kind} AS {column}" for column, kind in SUMS.items())}
FROM divided GROUP BY ALL
HAVING sum(lines) <> 0
""",
}

# The names of new customers that the store counts together.
FOLD = {
    table: f"""
UPDATE {table} SET customer = $other
WHERE day = $day AND customer IN (SELECT unnest($customers::VARCHAR[]))
"""
    for table in ("counted", "divided")
}

COUNT_MENDED = """
INSERT INTO mended SELECT $log, $stage, kind, $sign * count(*) FROM (SELECT unnest($kinds::VARCHAR[]) AS kind)
GROUP BY kind
"""

WANT = """
INSERT INTO wanted
SELECT unnest($customer::VARCHAR[]), unnest($day::INTEGER[]), unnest($last_stage::INTEGER[])
"""

# Two definitions of `requests` for FIGURES as (customer, day, status, ms, lines).
REQUESTS_OF_DAY = """
of_customers AS (
    SELECT customer, day, status, ms, lines FROM counted WHERE stage <= 0 AND reason IS NULL AND day = $day
),
requests AS (
    SELECT * FROM of_customers UNION ALL SELECT '' AS customer, day, status, ms, lines FROM of_customers
)
"""
REQUESTS_OF_WANTED = """
requests AS (
    SELECT wanted.customer, day, status, ms, lines
    FROM counted JOIN wanted USING (day, customer)
    WHERE reason IS NULL AND stage <= last_stage
    UNION ALL
    SELECT wanted.customer, day, status, ms, lines
    FROM counted JOIN wanted USING (day)
    WHERE reason IS NULL AND stage <= last_stage AND wanted.customer = ''
)
"""
FIGURES = f"""
by_status AS (SELECT customer, day, status, sum(lines)::BIGINT AS lines FROM requests GROUP BY ALL),
by_ms AS (SELECT customer, day, ms, sum(lines)::BIGINT AS lines FROM requests GROUP BY ALL),
totals AS (
    SELECT
        customer,
        day,
        sum(lines)::BIGINT AS total,
        coalesce(sum(lines) FILTER (WHERE status BETWEEN 200 AND 399), 0)::BIGINT AS successful,
        coalesce(sum(lines) FILTER (WHERE {IS_CLIENT_ERROR}), 0)::BIGINT AS client_errors,
        coalesce(sum(lines) FILTER (WHERE {IS_SERVER_ERROR}), 0)::BIGINT AS server_errors,
        map(list(status), list(lines)) AS statuses
    FROM by_status
    GROUP BY ALL
),
ranked AS (
    SELECT
        *,
        sum(lines) OVER (PARTITION BY customer, day) AS timed,
        sum(lines) OVER (PARTITION BY customer, day ORDER BY ms) AS rank_of_last
    FROM by_ms
    WHERE ms IS NOT NULL
),
latencies AS (
    SELECT
        customer,
        day,
        any_value(timed) AS timed,
        sum(ms * lines)::BIGINT AS sum_ms,
        min(ms) FILTER (WHERE 2 * rank_of_last >= timed) AS lower_middle,
        min(ms) FILTER (WHERE 2 * rank_of_last > timed) AS upper_middle,
        min(ms) FILTER (WHERE 100 * rank_of_last >= 99 * timed) AS p99,
        map(list(ms), list(lines)) AS latencies
    FROM ranked
    GROUP BY customer, day
)
SELECT
    customer,
    day,
    total,
    successful,
    total - successful,
    client_errors,
    server_errors,
    100 * successful / total AS uptime,
    100 * (total - server_errors) / total AS availability,
    sum_ms / (1000 * timed),
    (lower_middle + upper_middle) / 2000,
    p99 / 1000,
    statuses,
    latencies
FROM totals LEFT JOIN latencies USING (customer, day)
"""

# What differs first between the committed requests and the stored ones, which are taken out at the stage $stored, of
# each customer and day: their number, then by status, latency (ms), quarter hour, endpoint, and bytes of an endpoint.
STORED_DIFFERENCES = """
WITH
in_days AS (
    SELECT
        customer, day, status, ms,
        coalesce(sum(lines) FILTER (WHERE stage <> $stored), 0) AS logged,
        coalesce(-sum(lines) FILTER (WHERE stage = $stored), 0) AS stored
    FROM counted WHERE reason IS NULL GROUP BY ALL
),
in_parts AS (
    SELECT
        customer, day, part, trim(method || ' ' || path) AS endpoint,
        coalesce(sum(lines) FILTER (WHERE stage <> $stored), 0) AS logged,
        coalesce(-sum(lines) FILTER (WHERE stage = $stored), 0) AS stored,
        coalesce(sum(bytes) FILTER (WHERE stage <> $stored), 0) AS logged_bytes,
        coalesce(-sum(bytes) FILTER (WHERE stage = $stored), 0) AS stored_bytes
    FROM divided WHERE customer IS NOT NULL GROUP BY ALL
),
found AS (
    SELECT customer, day, 0 AS kind, NULL AS number, NULL AS endpoint, sum(logged) AS logged, sum(stored) AS stored
    FROM in_days GROUP BY customer, day
    UNION ALL SELECT customer, day, 1, status, NULL, sum(logged), sum(stored) FROM in_days GROUP BY ALL
    UNION ALL SELECT customer, day, 2, ms, NULL, sum(logged), sum(stored) FROM in_days GROUP BY ALL
    UNION ALL SELECT customer, day, 3, part, NULL, logged, stored FROM in_parts WHERE part IS NOT NULL
    UNION ALL SELECT customer, day, 4, NULL, endpoint, logged, stored FROM in_parts WHERE endpoint IS NOT NULL
    UNION ALL SELECT customer, day, 5, NULL, endpoint, logged_bytes, stored_bytes
    FROM in_parts WHERE endpoint IS NOT NULL
)
SELECT customer, day, kind, number, endpoint, logged::BIGINT, stored::BIGINT
FROM found WHERE logged <> stored
QUALIFY row_number() OVER (PARTITION BY customer, day ORDER BY kind, number, endpoint) = 1
ORDER BY day, customer
"""
