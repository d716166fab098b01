# shellcheck shell=bash disable=SC2034,SC2317
# postgres: initdb, pgbench and a script of queries against a server on a unix socket in the case's own directory.
NEEDS='initdb postgres pgbench psql pg_dump setpriv'
PACKAGES='postgresql postgresql-contrib'
EXPECT='postgres initdb pgbench psql'
LIMIT=120

prepare() {
    cat > work.sql <<'SQL'
\set QUIET on
set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
create table t as select i, md5(i::text) h, i % 97 g, repeat('x', i % 60) p from generate_series(1, :n) i;
create index on t(h);
analyze t;
select count(*), min(h), max(h), sum(length(p)) from t;
select g, count(*), sum(i) from t group by g order by g limit 10;
select a.g, count(*) from t a join t b on a.h = b.h where a.i % 2 = 0 group by a.g order by 2 desc, 1 limit 10;
select string_agg(h, ',' order by h desc) from (select h from t order by h limit 20) s;
select md5(string_agg(h, '' order by h)) from t;
select i, sum(i) over (partition by g order by i rows 3 preceding) from t order by i desc limit 5;
select jsonb_object_agg(g::text, c) from (select g, count(*) c from t where g < 10 group by g order by g) s;
select count(*) from t where p ~ '^x{7,9}$' or h like '%abc%';
create function work(n int) returns text language plpgsql as $$
declare r text := ''; a int[] := '{}'; begin for i in 1..n loop a := a || i * 7 % 13; r := md5(r || a[i]); end loop; return r; end $$;
select work(2000);
with recursive f(a, b) as (select 0::numeric, 1::numeric union all select b, a + b from f where b < 1e200) select max(a) from f;
update t set p = p || h where i % 3 = 0; delete from t where i % 11 = 0; vacuum analyze t;
select count(*), sum(length(p)) from t;
do $$ begin perform 1 / 0; exception when division_by_zero then raise notice 'caught'; end $$;
SQL
}

# Postgres refuses to run as root.
as_user() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
    else
        "$@"
    fi
}

sql() {
    as_user psql -X -q -At -v ON_ERROR_STOP=1 "$@"
}

body() {
    local server
    export PGHOST=$PWD/db PGUSER=tester PGDATABASE=postgres HOME=$PWD/db
    mkdir db
    [ "$(id -u)" -ne 0 ] || chown nobody:nogroup db
    as_user initdb -D db/cluster -U tester -A trust -N --locale=C -E UTF8 > initdb.txt
    as_user postgres -D db/cluster -k "$PWD/db" -c listen_addresses= -c fsync=off -c shared_buffers=32MB -c log_min_messages=warning \
        > server.err 2>&1 &
    eventually sql -c 'select 1'
    server=$(head -n 1 db/cluster/postmaster.pid)
    assert_loaded "$server"
    sql -v n="$(amount 20000 200000)" -f "$IN/work.sql"
    as_user pgbench -q -i -s "$(amount 1 4)" 2> /dev/null
    as_user pgbench -n -c 1 -t 200 --random-seed=42 > one.txt
    sql -c 'select count(*), sum(delta), md5(string_agg(format($$%s %s %s$$, aid, tid, delta), $$,$$ order by aid, tid, delta)) from pgbench_history'
    as_user pgbench -n -c 8 -j 2 -T "$(amount 1 10)" -M prepared > many.txt
    grep -o '^number of failed transactions: 0 (0.000%)' many.txt
    sql -c 'select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches),
        (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)'
    as_user pg_dump -t t | grep -v '^-- Dumped\|restrict' | sha256sum
    kill -INT "$server"
    wait
    grep -E 'PANIC|FATAL|ERROR|terminated' server.err | grep -vE 'administrator command|is starting up' || true
}
