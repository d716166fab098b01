# shellcheck shell=bash disable=SC2034,SC2317
# node: objects, strings, buffers, zlib, crypto, streams, workers, a server on a unix socket.
NEEDS=node
PACKAGES=nodejs
EXPECT=node

prepare() {
    cat > work.js <<'JS'
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib'), fs = require('fs'), http = require('http');
const n = Number(process.argv[2]);
const sha = (x) => crypto.createHash('sha256').update(x).digest('hex');

function work(seed) {
    let s = seed;
    const random = () => (s = (Math.imul(s, 1103515245) + 12345) & 0x7fffffff);
    const map = new Map(), list = [];
    for (let i = 0; i < n; i++) {
        const k = 'k' + (random() % (n / 4));
        map.set(k, (map.get(k) || '') + String.fromCharCode(97 + (random() % 26)));
        list.push({ id: i, name: k, tags: [k, i, { deep: [random() % 10] }] });
        if (i % 3 === 0) map.delete('k' + (random() % (n / 4)));
    }
    list.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id));
    const text = JSON.stringify(list) + JSON.stringify([...map].sort());
    const packed = zlib.deflateSync(text, { level: 6 });
    const same = zlib.inflateSync(packed).toString() === text && JSON.parse(JSON.stringify(list)).length === list.length;
    const buffers = [];
    for (let i = 0; i < 2000; i++) buffers.push(Buffer.alloc(1 + (random() % 20000), i & 255));
    return [sha(text), sha(packed), same, sha(Buffer.concat(buffers)), text.replace(/k(\d)/g, '<$1>').length].join(' ');
}

function serve() {
    return new Promise((done) => {
        const server = http.createServer((q, a) => { const parts = []; q.on('data', (d) => parts.push(d)); q.on('end', () => a.end(sha(Buffer.concat(parts)))); });
        server.listen('node.sock', async () => {
            const answers = [];
            for (let i = 0; i < 100; i++) answers.push(await new Promise((got) => {
                const q = http.request({ socketPath: 'node.sock', method: 'POST' }, (r) => { let t = ''; r.on('data', (d) => (t += d)); r.on('end', () => got(t)); });
                q.end(Buffer.alloc(i * 997, i));
            }));
            server.close(() => done(sha(answers.join())));
        });
    });
}

if (!isMainThread) {
    parentPort.postMessage(work(workerData));
} else {
    const workers = [1, 2, 3, 4].map((i) => new Promise((ok, bad) => { const w = new Worker(__filename, { workerData: i, argv: [n] }); w.on('message', ok); w.on('error', bad); }));
    (async () => {
        console.log(work(42));
        for (const w of workers) console.log(await w);
        console.log(await serve());
        const kinds = await Promise.all([1, 2, 3, 4, 5, 6].map((i) => new Promise((ok) => crypto.pbkdf2('p' + i, 'salt', 2000, 64, 'sha512', (e, k) => ok(k.toString('hex'))))));
        console.log(sha(kinds.join()));
        console.log(sha(zlib.brotliCompressSync(Buffer.from('hakuna '.repeat(n / 10)))), sha(zlib.gzipSync('abc'.repeat(n))));
        if (process.env.WHICH === 'library' && !fs.readFileSync('/proc/self/maps', 'utf8').includes(process.env.LIB)) throw new Error('the library is not mapped');
    })();
}
JS
}

body() {
    node "$IN/work.js" "$(amount 15000 80000)"
}
