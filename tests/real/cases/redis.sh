# shellcheck shell=bash disable=SC2034,SC2317
# redis-server on a unix socket: redis-benchmark, then a known data set whose digest must survive a save (fork), an append-only
# rewrite (fork), a restart and a flush.
NEEDS='redis-server redis-benchmark redis-cli'
PACKAGES='redis-server redis-tools'
EXPECT='redis-check-rdb redis-benchmark redis-cli'

prepare() {
    awk -v n="$([ "$SCALE" = quick ] && echo 10000 || echo 100000)" 'BEGIN {
        for (i = 0; i < n; i++) {
            printf "SET key:%d %s%d\r\n", i, substr("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", 1, i % 50), i
            printf "LPUSH list:%d %d\r\nHSET hash:%d f%d v%d\r\nZADD zset:%d %d m%d\r\nSADD set:%d %d\r\n", i % 100, i, i % 500, i, i, i % 50, i * 7 % 1000, i, i % 70, i
            if (i % 3 == 0) printf "APPEND key:%d %0" (i % 300 + 1) "d\r\n", i, 1
            if (i % 7 == 0) printf "DEL key:%d\r\n", int(i / 2)
        }
        for (i = 0; i < 50; i++) printf "XADD stream:1 %d-1 a %d\r\nPFADD hll x%d\r\nSETRANGE big %d end\r\n", i + 1, i, i, i * 10000
    }' > commands
    cat > redis.conf <<'CONF'
port 0
unixsocket redis.sock
daemonize no
save ""
enable-debug-command yes
databases 2
loglevel warning
hash-max-listpack-entries 64
io-threads 2
CONF
}

ask() {
    redis-cli -s redis.sock "$@"
}

serve() {
    served=$((served + 1))
    redis-server "$IN/redis.conf" --dir "$PWD" "$@" > "server.$served.err" 2>&1 &
    server=$!
    eventually ask ping
    eventually loading_done
    assert_loaded "$server"
}

loading_done() {
    ask info persistence | grep -q '^loading:0'
}

saved() {
    ask info persistence | tr -d '\r' | grep -q '^rdb_bgsave_in_progress:0'
}

rewritten() {
    ask info persistence | tr -d '\r' | grep -q '^aof_rewrite_in_progress:0'
}

body() {
    local server served=0
    serve
    redis-benchmark -s redis.sock -q -n "$(amount 5000 60000)" -r 100000 -P 8 -d 100 -c 20 \
        -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset > benchmark.txt 2>&1
    grep -c 'requests per second' benchmark.txt
    ask -n 1 dbsize
    ask flushall
    ask --pipe < "$IN/commands" | tail -n 1
    ask debug digest
    ask bgsave
    ask set key:during save
    ask mset key:a 1 key:b 2
    eventually saved
    ask info persistence | grep '^rdb_last_bgsave_status'
    ask del key:during key:a key:b
    ask debug digest
    ask save
    ask shutdown nosave || true
    wait "$server"
    redis-check-rdb dump.rdb | grep -o 'RDB looks OK!.*'
    serve --appendonly yes
    ask debug digest
    ask bgrewriteaof
    eventually rewritten
    ask memory purge
    ask memory doctor > doctor.txt
    ask eval 'local t = {} for i = 1, 20000 do t[i] = tostring(i) .. "x" end return #table.concat(t)' 0
    ask debug digest
    ask flushall async
    ask dbsize
    ask shutdown nosave || true
    wait "$server"
}
