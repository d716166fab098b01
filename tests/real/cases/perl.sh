# shellcheck shell=bash disable=SC2034,SC2317
# perl: hashes of hashes, sorting, regular expressions, string growth, threads where perl has them.
NEEDS=perl
PACKAGES=perl
EXPECT=perl

prepare() {
    cat > work.pl <<'PERL'
use strict; use warnings; use Digest::SHA qw(sha1_hex); use Config; use List::Util qw(sum0 shuffle reduce);
my $n = shift;
my $seed = 42;
sub rnd { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return ($seed >> 8) % $_[0] }
sub digest { print "$_[0]: ", sha1_hex($_[1]), "\n" }

my @words = map { join '', map { chr(97 + rnd(26)) } 1 .. 3 + rnd(12) } 1 .. $n;
my %count; $count{$_}++ for @words;
my %tree; push @{ $tree{ substr $_, 0, 1 }{ substr $_, 1, 1 }{ length $_ } }, $_ for @words;
digest sorted => join ',', sort @words;
digest by_length => join ',', sort { length $a <=> length $b or $b cmp $a } keys %count;
digest tree => join ';', map { my $x = $_; map { my $y = $_; map { "$x$y$_:" . scalar @{ $tree{$x}{$y}{$_} } }
    sort { $a <=> $b } keys %{ $tree{$x}{$y} } } sort keys %{ $tree{$x} } } sort keys %tree;
delete @count{ grep { length($_) % 2 } keys %count };
digest remaining => join ',', sort keys %count;

my $text = join ' ', @words;
my $vowels = () = $text =~ /[aeiou]{2,}/g;
(my $swapped = $text) =~ s/\b(\w)(\w*)(\w)\b/$3$2$1/g;
my %named; while ($text =~ /(?<head>[b-d]\w{2})(?<tail>\w*?)(?=e)/g) { $named{ $+{head} } .= $+{tail} }
digest regex => join '|', $vowels, $swapped, map { "$_=$named{$_}" } sort keys %named;
my $nested = qr/\((?:[^()]++|(?R))*\)/;
print "balanced: ", scalar(() = ("(a(b)c)((d)(e(f)))" x ($n / 100)) =~ /$nested/g), "\n";

my $grown = ''; $grown .= chr(33 + $_ % 90) x ($_ % 97) for 1 .. $n; digest grown => $grown;
my @deep; for my $i (1 .. $n / 10) { my $r = \my @l; for (1 .. 1 + $i % 20) { my @m = ($i) x $_; push @$r, \@m; $r = $r->[-1] } push @deep, \@l }
print "deep: ", scalar(@deep), "\n"; @deep = ();
my @pieces = split /,/, join ',', map { sprintf '%08x', rnd(1 << 30) } 1 .. $n;
digest packed => pack 'N*', map { hex } sort { $a cmp $b } @pieces;
for my $round (1 .. 5) { my @m = map { { id => $_, name => "n$_", list => [ 1 .. $_ % 7 ] } } 1 .. $n / 10; digest "round$round" => join ',', map { $_->{name} . @{ $_->{list} } } @m }
if ($Config{useithreads}) {
    require threads;
    my @t = map { my $k = $_; threads->create(sub { my %h = map { $_ => $_ ** 2 } 1 .. $n / 10; sum0(values %h) + $k }) } 1 .. 4;
    print "threads: ", join(',', map { $_->join } @t), "\n";
}
my $child = open(my $from, '-|') // die; if (!$child) { print sha1_hex(join '', sort keys %count); exit 0 } print "forked: ", <$from>, "\n";
if ($ENV{WHICH} eq 'library') { open my $m, '<', '/proc/self/maps' or die; grep { index($_, $ENV{LIB}) >= 0 } <$m> or die 'not loaded' }
PERL
}

body() {
    perl "$IN/work.pl" "$(amount 30000 180000)"
}
