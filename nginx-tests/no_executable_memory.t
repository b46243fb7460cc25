# A system that refuses memory which was written to be executed (systemd's MemoryDenyWriteExecute):
# Lua code and expressions are interpreted, and the log says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use POSIX ();
use Test::More;
use CModule;
use ProcessTest;

plan skip_all => 'valgrind itself needs such memory' if $ENV{TEST_NGINX_USE_VALGRIND};

# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), which children inherit.
my %PRCTL = ( x86_64 => 157, aarch64 => 167 );
my $prctl = $PRCTL{ ( POSIX::uname() )[4] } or plan skip_all => 'no number of prctl for this machine';
my $REFUSE = "syscall($prctl, 65, 1, 0, 0, 0) == 0 or die";
plan skip_all => 'this kernel has no PR_SET_MDWE' if system( $^X, '-e', "$REFUSE qq{no\n}" ) != 0;

my $port   = ProcessTest::port();
my $NOTICE = qr/\[warn\] .*memory that was written may not be executed.*/;

sub conf {
    my ( $server, $globals, $code_cache ) = @_;
    $server->write_file( 'work.lua', <<'_EOC_');
return {
    sum = function(n)
        local sum = 0
        for i = 1, n do sum = sum + i end
        return sum
    end,
}
_EOC_
    my $prefix = $server->prefix;
    return $server->write_file( 'nginx.conf', <<"_EOC_");
$globals
pid        logs/nginx.pid;
error_log  logs/error.log notice;
worker_processes 1;
thread_pool pool threads=1;
events {
}
http {
    access_log off;
    lua_package_path "$prefix/?.lua;;";
    lua_code_cache $code_cache;
    init_by_lua_block { require("work").sum(100000) }
    server {
        listen 127.0.0.1:$port;
        location = /loop {
            content_by_lua_block {
                ngx.say(require("work").sum(100000), " ", (jit.status()))
            }
        }
        location = /on {
            content_by_lua_block {
                jit.on()
                jit.on(nil)
                jit.on(true)
                jit.on(require("work").sum, true)
                ngx.say(require("work").sum(100000), " ", (jit.status()))
            }
        }
        location = /thread {
            content_by_lua_block {
                ngx.say(ngx.run_worker_thread("pool", "work", "sum", 100000))
            }
        }
        location = /regex {
            content_by_lua_block {
                local found = 0
                for i = 1, 100 do
                    for _, options in ipairs { "jo", "o", "j" } do
                        local match = ngx.re.match("item " .. i, "([a-z]+) ([0-9]+)", options)
                        found = found + tonumber(match[2])
                    end
                end
                ngx.say(found)
            }
        }
    }
}
_EOC_
}

sub works {
    my ( $name, $server ) = @_;
    my %expected = (
        '/loop'   => "5000050000 false\n",
        '/on'     => "5000050000 false\n",
        '/thread' => "true5000050000\n",
        '/regex'  => "15150\n",
    );
    for my $path ( sort keys %expected ) {
        my ( $status, undef, $body ) = eval { ProcessTest::get( $port, $path ) };
        is $body, $expected{$path}, "$name: $path" or diag $@;
    }
    $server->stop;
    my $log   = $server->log_text('error.log');
    my @lines = $log =~ /$NOTICE/g;
    is scalar @lines, 1, "$name: the log says so once" or diag $log;
    unlike $log, qr/\[(?:error|crit|alert|emerg)\]/, "$name: nothing fails";
}

# All of nginx is started so.
for my $code_cache (qw(on off)) {
    my $launcher = File::Temp->new;
    my $nginx    = $ENV{TEST_NGINX_BINARY} || 'nginx';
    print {$launcher} "#!$^X\n$REFUSE;\nexec '$nginx', \@ARGV;\n";
    close $launcher;
    chmod 0700, "$launcher";
    local $ENV{TEST_NGINX_BINARY} = "$launcher";
    my $server = ProcessTest->new;
    $server->start( conf( $server, '', $code_cache ) );
    works( "code cache $code_cache", $server );
}

# A worker alone finds it so; init_by_lua has been compiled in the master.
{
    my $server = ProcessTest->new;
    my $module = CModule::compile( $server, 'ngx_no_executable_memory_module' );
    $server->start( conf( $server, "load_module $module;", 'on' ) );
    works( 'the worker alone', $server );
}

# Elsewhere nothing changes.
{
    my $server = ProcessTest->new;
    $server->start( conf( $server, '', 'on' ) );
    my ( undef, undef, $body ) = ProcessTest::get( $port, '/loop' );
    like $body, qr/^5000050000 true$/, 'without: the compiler is on';
    $server->stop;
    unlike $server->log_text('error.log'), $NOTICE, 'without: the log says nothing';
}

done_testing();
