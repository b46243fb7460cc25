# The module is loaded into an nginx that it was not built for. nginx refuses a version and a signature
# that are not its own, and the module says which it was built for; it refuses an nginx whose structures
# differ although it has the same version and signature.
#
# Such nginxes are copies of the one under test, which take themselves for another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use ProcessTest;

my $server = ProcessTest->new;
my $prefix = $server->prefix;
plan skip_all => 'for this module alone' if ProcessTest::modules() != 1;

my $conf = $server->write_http('');
my ( $status, $output ) = $server->run( $conf, '-t' );
is $status, 0, 'its own nginx takes it' or diag $output;
unlike $output, qr/was built for/, 'in silence';

my $binary = ProcessTest::slurp( $server->binary );
my ( undef, $version ) = $server->run( $conf, '-v' );
# nginx, freenginx or Angie.
$version =~ m{(\w+)/(\d+)\.(\d+)\.(\d+)} or BAIL_OUT("no version in $version");
my $number = $2 * 1_000_000 + $3 * 1_000 + $4;
my ( $own, $other ) = ( "$1 $2.$3.$4", "$1 $2.$3." . ( $4 + 1 ) );

# A line of the log without its time and process.
sub text {
    my ($line) = @_;
    return $line =~ s/\A.*?(?=\[\w+\])//r =~ s/\d+#\d+: //r;
}

# What a copy of nginx whose bytes are $bytes says of the module.
sub refused_by {
    my ($bytes) = @_;
    my $path = $server->write_file( 'nginx', $bytes );
    chmod 0755, $path;
    my $server = bless { %$server, binary => $path }, 'ProcessTest';
    my ( $status, $output ) = $server->run( $conf, '-t' );
    is $status >> 8, 1, 'the configuration is refused';
    return $output;
}

# Another version.
{
    my $bytes = $binary;
    my ( $from, $to ) = map { quotemeta pack 'V', $_ } $number, $number + 1;
    $bytes =~ s/$from/pack 'V', $number + 1/ge or BAIL_OUT('no version number in nginx');
    my @lines = split /\n/, refused_by($bytes);
    is text( $lines[0] ), "[emerg] ngx_http_lua_module was built for $own and is loaded into $other: "
        . 'install the one for this nginx, or build it from the source of this nginx', 'another version: says which';
    like $lines[1], qr/ version $number instead of \d+ in /, q{another version: nginx's own words follow};
}

# Another signature: the same version, configured in another way.
{
    my $bytes = $binary;
    my ($signature) = $bytes =~ /\x00((?:\w+,)?\d,\d,\d,[01]{20,})\x00/ or BAIL_OUT('no signature in nginx');
    my $changed = $signature =~ s/(.)\z/1 - $1/er;
    $bytes =~ s/\x00$signature\x00/\x00$changed\x00/g;
    my @lines = split /\n/, refused_by($bytes);
    is text( $lines[0] ), qq{[emerg] ngx_http_lua_module was built for an nginx with the signature "$signature" and is }
        . qq{loaded into one with "$changed": build it from a source tree that was configured like this nginx (nginx -V)},
        'another signature: says which';
    like $lines[1], qr/ is not binary compatible in /, q{another signature: nginx's own words follow};
}

# OpenResty's patches, Angie, freenginx: known by a symbol that others lack.
my @symbols = grep { $binary !~ /\x00$_\x00/ }
    qw(ngx_posted_delayed_events ngx_is_privileged_agent ngx_show_build_info ngx_daemon_sync);
cmp_ok scalar @symbols, '>=', 2, 'the nginx under test lacks most of them';
for my $symbol (@symbols) {
    my $source = $server->write_file( 'symbol.c', "int $symbol;\n" );
    system( $ENV{CC} || 'cc', qw(-shared -o), "$prefix/symbol.so", $source ) == 0 or die 'cc';
    local $ENV{LD_PRELOAD} = "$prefix/symbol.so";
    my ( $status, $output ) = $server->run( $conf, '-t' );
    is $status >> 8, 1, "$symbol: refused";
    my ($line) = split /\n/, $output;
    is text($line), qq{[emerg] ngx_http_lua_module was built for an nginx without the symbol "$symbol" and is loaded }
        . 'into one with it: one of them is patched, and their structures differ; build the module from the source of '
        . 'this nginx', "$symbol: says so";
}

done_testing;
