# shellcheck shell=bash disable=SC2034,SC2317
# ruby: strings, hashes, regular expressions, JSON, zlib, threads, fork, Ractors, garbage collection with compaction.
NEEDS=ruby
PACKAGES=ruby
EXPECT='ruby*'

prepare() {
    cat > work.rb <<'RUBY'
require 'json'; require 'zlib'; require 'digest'; require 'set'; require 'stringio'
Warning[:experimental] = false
n = ARGV[0].to_i
def sha(x) = Digest::SHA256.hexdigest(x)
random = Random.new(42)
words = Array.new(n) { Array.new(random.rand(3..14)) { (97 + random.rand(26)).chr }.join }
count = Hash.new(0); words.each { |w| count[w[0, 3]] += 1 }
puts sha(words.sort.join(',')), sha(words.group_by(&:size).sort.map { |k, v| "#{k}#{v.sort.last}" }.join), sha(count.sort.to_s)
text = words.join(' ')
puts sha(text.gsub(/\b(\w)(\w*)(\w)\b/) { "#{$3}#{$2}#{$1}" }), text.scan(/[aeiou]{2,}/).size, sha(text.tr('a-y', 'b-z').reverse)
tree = words.each_with_index.map { |w, i| { id: i, name: w, list: [i] * (i % 9), sub: { w => i.to_s * (i % 30) } } }
json = JSON.generate(tree); puts sha(json), JSON.parse(json).size
packed = Zlib::Deflate.deflate(json); puts sha(packed), Zlib::Inflate.inflate(packed) == json
puts sha(Marshal.dump(tree)), Marshal.load(Marshal.dump(tree)) == JSON.parse(json, symbolize_names: true).each { |h| h[:sub] = h[:sub].transform_keys(&:to_s) }
tree = nil; GC.start; GC.compact if GC.respond_to?(:compact)
grown = +''; n.times { |i| grown << (33 + i % 90).chr * (i % 97) }; puts sha(grown); grown.clear
puts Array.new(8) { |t| Thread.new { s = Set.new; (n / 8).times { |i| s << (i * 7 + t).to_s; s.delete((i / 2).to_s) }; s.size } }.map(&:value).join(',')
puts Array.new(2) { |t| Ractor.new(n / 4, t) { |m, k| (0...m).map { |i| (i * k).to_s }.sort.last } }.map(&:take).join(',') if defined?(Ractor)
r, w = IO.pipe; pid = fork { r.close; w << sha(words.uniq.sort.join); w.close; exit!(0) }; w.close; puts r.read; Process.wait(pid)
f = Fiber.new { 1000.times { |i| Fiber.yield([i] * 100) }; nil }; total = 0; while (x = f.resume) do total += x.size end; puts total
puts (1..2000).inject(:*).to_s.size
raise 'not loaded' if ENV['WHICH'] == 'library' && !File.read('/proc/self/maps').include?(ENV['LIB'])
RUBY
}

body() {
    ruby "$IN/work.rb" "$(amount 20000 150000)"
}
