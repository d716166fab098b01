# shellcheck shell=bash disable=SC2034,SC2317
# java: javac, then a program with garbage, threads, native buffers, zip and digests, under several collectors.
NEEDS='java javac'
PACKAGES='default-jdk-headless'
EXPECT='java javac'
LIMIT=120

prepare() {
    cat > Work.java <<'JAVA'
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Work {
    record Item(int id, String name, long[] data) {}

    static String hex(byte[] b) {
        return HexFormat.of().formatHex(b);
    }

    static String garbage(int seed, int n) throws Exception {
        Random random = new Random(seed);
        Map<String, Item> kept = new HashMap<>();
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (int i = 0; i < n; i++) {
            String key = "k" + random.nextInt(n / 10 + 1);
            kept.put(key, new Item(i, key + i, new long[random.nextInt(64)]));
            if (i % 3 == 0) kept.remove("k" + random.nextInt(n / 10 + 1));
        }
        for (String s : kept.values().stream().map(x -> x.name() + x.data().length).sorted().collect(Collectors.toList())) digest.update(s.getBytes());
        return hex(digest.digest());
    }

    static String natives(int seed, int n) throws Exception {
        CRC32 crc = new CRC32();
        Random random = new Random(seed);
        for (int i = 0; i < n; i++) {
            byte[] in = new byte[1 + random.nextInt(30000)], out = new byte[40000], back = new byte[in.length];
            Arrays.fill(in, (byte) i);
            Deflater d = new Deflater(1 + i % 9);
            d.setInput(in);
            d.finish();
            int length = d.deflate(out);
            d.end();
            Inflater u = new Inflater();
            u.setInput(out, 0, length);
            u.inflate(back);
            u.end();
            if (!Arrays.equals(in, back)) throw new IllegalStateException("zip");
            ByteBuffer direct = ByteBuffer.allocateDirect(in.length);
            direct.put(in).flip();
            crc.update(direct);
        }
        return Long.toHexString(crc.getValue());
    }

    public static void main(String[] a) throws Exception {
        int n = Integer.parseInt(a[0]);
        ExecutorService pool = Executors.newFixedThreadPool(6);
        List<Future<String>> results = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            int seed = i;
            results.add(pool.submit(() -> seed % 2 == 0 ? garbage(seed, n) : natives(seed, n / 500)));
        }
        for (Future<String> f : results) System.out.println(f.get());
        pool.shutdown();
        List<Thread> threads = new ArrayList<>();
        LongAdderBox sum = new LongAdderBox();
        for (int i = 0; i < 200; i++) {
            int k = i;
            Thread t = new Thread(() -> sum.add(String.join(",", Collections.nCopies(k, "x")).length()));
            t.start();
            threads.add(t);
        }
        for (Thread t : threads) t.join();
        System.out.println(sum.value());
        System.gc();
        System.out.println(IntStream.range(0, n).parallel().mapToObj(i -> "s" + i % 1000).collect(Collectors.toCollection(TreeSet::new)).size());
        String library = System.getenv("LIB");
        if ("library".equals(System.getenv("WHICH")) && !Files.readString(Path.of("/proc/self/maps")).contains(library)) throw new IllegalStateException("the library is not mapped");
    }

    static class LongAdderBox {
        private final java.util.concurrent.atomic.LongAdder a = new java.util.concurrent.atomic.LongAdder();
        void add(long x) { a.add(x); }
        long value() { return a.sum(); }
    }
}
JAVA
}

body() {
    local collector n collectors=(G1)
    n=$(amount 20000 200000)
    [ "$SCALE" = quick ] || collectors=(G1 Parallel Serial Z)
    javac -d . "$IN/Work.java"
    sum_of ./*.class
    for collector in "${collectors[@]}"; do
        java -Xmx256m -XX:+UnlockExperimentalVMOptions "-XX:+Use${collector}GC" Work "$n"
    done
}
