# shellcheck shell=bash disable=SC2034,SC2317
# sqlite3: a big script in a file and in memory; indices, joins, windows, JSON, full text, blobs, transactions, dump and reload.
NEEDS=sqlite3
PACKAGES=sqlite3
EXPECT=sqlite3

prepare() {
    local n
    n=$([ "$SCALE" = quick ] && echo 15000 || echo 120000)
    cat > work.sql <<SQL
.bail on
pragma cache_size = -20000;
create table item(id integer primary key, name text, weight real, parent int, data blob);
begin;
with recursive c(i) as (select 1 union all select i + 1 from c where i < $n)
insert into item select i, printf('n%06d-%s', i * 7919 % $n, hex(i * 31)), i % 997 / 7.0, i / 10, zeroblob(i % 200) from c;
commit;
create index by_name on item(name);
create index by_parent on item(parent, weight);
select count(*), sum(length(name)), round(sum(weight), 3), sum(length(data)) from item;
select a.id, b.name, count(*) from item a join item b on b.parent = a.id where a.weight > 100 group by a.id order by b.name limit 20;
with recursive up(id, depth) as (select $n, 0 union all select parent, depth + 1 from item join up using (id) where parent > 0) select * from up;
select id, name, sum(weight) over (partition by parent % 100 order by id rows 5 preceding) s from item order by s desc, id limit 20;
select group_concat(name, ';') from (select name from item where name like 'n0000%' order by name);
select json_extract(j, '\$.list[3]'), length(j) from (select json_object('id', id, 'list', json_array(1, 2, id, name)) j from item where id % ($n / 20) = 0);
create virtual table doc using fts5(body);
insert into doc select name || ' ' || replace(name, '-', ' ') || ' word' || (id % 50) from item where id % 4 = 0;
select count(*) from doc where doc match 'word7 OR word13';
update item set name = upper(name) || id, data = x'0102' where id % 3 = 0;
delete from item where id % 5 = 0;
savepoint s; update item set weight = weight + 1; rollback to s; release s;
vacuum;
pragma integrity_check;
select count(*), sum(length(name)), round(sum(weight), 3) from item;
create table copy as select * from item order by name desc;
select max(rowid), min(name) from copy;
SQL
}

body() {
    sqlite3 disk.db < "$IN/work.sql"
    sqlite3 :memory: < "$IN/work.sql" | sha256sum
    sqlite3 disk.db .dump > dump.sql
    sum_of dump.sql
    sqlite3 again.db < dump.sql
    sqlite3 again.db .dump | cmp - dump.sql
}
