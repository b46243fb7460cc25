package RestyCore;

# Copies of the installed lua-resty-core that ask for another release of the module than it does.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use ProcessTest;
use Test::More;

# Skips all of a test whose copies must come from the first release that the module follows. $base is as below.
sub needs_first_release {
    my ( $server, $base ) = @_;
    return if ProcessTest::slurp($base) =~ /\b10023\b/;
    $server->stop;
    plan skip_all => 'the installed lua-resty-core is not 0.1.25';
}

# The path templates of a copy in the server's lua/NAME, with the installed Lua libraries after it.
# Its files are changed by $edit->( name, text ), which alters $_[1]; $base is the path of the
# installed resty/core/base.lua.
sub copy {
    my ( $server, $name, $base, $edit ) = @_;
    my $core = dirname($base);
    for my $file ( "$core.lua", glob "$core/*.lua" ) {
        my ($within) = $file =~ m{(resty/core.*)\z};
        my $text = ProcessTest::slurp($file);
        $edit->( $within, $text );
        make_path( $server->prefix . '/' . dirname("lua/$name/$within") );
        $server->write_file( "lua/$name/$within", $text );
    }
    return $server->prefix . "/lua/$name/?.lua;;";
}

# An edit that makes it ask for another release.
sub asking {
    my ( $number, $name ) = @_;
    return sub { $_[1] =~ s/\b10023\b/$number/g; $_[1] =~ s/\b0\.10\.23\b/$name/g };
}

# The same, and it passes PCRE2's option bits, as those do that ask for 10026 or more.
my %PCRE2 = (
    CASELESS => '0x8', MULTILINE => '0x400', DOTALL => '0x20', EXTENDED => '0x80',
    ANCHORED => '0x80000000', UTF8 => '0x80000', DUPNAMES => '0x40', JAVASCRIPT_COMPAT => '0x203',
);

sub asking_with_pcre2 {
    my $ask = asking(@_);
    return sub {
        $_[1] =~ s/\bPCRE_(\w+)(\s*)= 0x\w+/PCRE_$1$2= $PCRE2{$1}/g if $_[0] =~ /regex\.lua$/;
        $ask->(@_);
    };
}

1;
