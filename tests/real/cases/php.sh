# shellcheck shell=bash disable=SC2034,SC2317
# php loads its extensions with RTLD_DEEPBIND, so they see the C library's malloc first: blocks cross between the two both ways.
NEEDS=php
PACKAGES='php-cli php-mbstring php-xml'
EXPECT='php*'

prepare() {
    cat > work.php <<'PHP'
<?php
ini_set('memory_limit', '1G');
$n = (int)$argv[1];
mt_srand(42);
$words = [];
for ($i = 0; $i < $n; $i++) { $w = ''; for ($k = mt_rand(3, 12); $k > 0; $k--) $w .= chr(97 + mt_rand(0, 25)); $words[] = $w; }
$count = array_count_values(array_map(fn($w) => substr($w, 0, 2), $words)); ksort($count);
sort($words);
echo sha1(implode(',', $words)), ' ', sha1(json_encode($count)), "\n";
$text = implode(' ', $words);
echo sha1(preg_replace_callback('/\b(\w)(\w*)(\w)\b/', fn($m) => $m[3] . $m[2] . $m[1], $text)), ' ', preg_match_all('/[aeiou]{2,}/', $text), "\n";
$data = array_map(fn($w, $i) => ['name' => $w, 'id' => $i, 'list' => array_fill(0, $i % 9, $w)], $words, array_keys($words));
$json = json_encode($data); echo sha1($json), ' ', count(json_decode($json, true)), ' ', sha1(serialize($data)), "\n";
foreach (['gzcompress', 'mb_strtoupper', 'ctype_alpha', 'iconv_strlen'] as $f) echo $f, ' ', function_exists($f) ? sha1((string)$f($f === 'iconv_strlen' ? $text : ($f === 'ctype_alpha' ? 'abc' : $text))) : 'none', "\n";
if (class_exists('DOMDocument')) {
    $d = new DOMDocument(); $r = $d->appendChild($d->createElement('root'));
    for ($i = 0; $i < $n / 10; $i++) { $e = $r->appendChild($d->createElement('item', $words[$i])); $e->setAttribute('id', (string)$i); if ($i % 3 == 0) $r->removeChild($r->firstChild); }
    $x = new DOMXPath($d); echo sha1($d->saveXML()), ' ', $x->query('//item[@id mod 7 = 0]')->length, "\n";
    $s = simplexml_load_string($d->saveXML()); echo count($s->item), "\n";
}
$big = ''; for ($i = 0; $i < $n; $i++) $big .= str_repeat(chr(33 + $i % 90), $i % 97); echo sha1($big), "\n";
if (class_exists('SplPriorityQueue')) { $q = new SplPriorityQueue(); foreach ($words as $i => $w) $q->insert($w, crc32($w) % 1000 * 1000000 + $i); echo $q->extract(), "\n"; }
echo setlocale(LC_ALL, 'C'), ' ', date('Y', 0), ' ', strlen(random_bytes(1000)), "\n";
if (getenv('WHICH') === 'library' && !str_contains(file_get_contents('/proc/self/maps'), getenv('LIB'))) { fwrite(STDERR, "the library is not mapped\n"); exit(1); }
PHP
}

body() {
    php -m | sort
    php "$IN/work.php" "$(amount 20000 120000)"
    php -d opcache.enable_cli=1 -d opcache.jit_buffer_size=16M "$IN/work.php" "$(amount 5000 50000)"
}
