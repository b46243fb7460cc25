# The C API that other nginx modules call: one is compiled here and loaded behind the module.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use CModule;
use ProcessTest;

my $port   = ProcessTest::port();
my $server = ProcessTest->new;
my $module = CModule::compile( $server, 'ngx_http_caller_module' );

for my $code_cache (qw(on off)) {
    my $conf = $server->write_file( 'nginx.conf', <<"_EOC_");
load_module $module;
pid        logs/nginx.pid;
error_log  logs/error.log info;
events {
}
http {
    access_log off;
    lua_code_cache $code_cache;
    server {
        listen 127.0.0.1:$port;
        location / {
            content_by_lua_block {
                ngx.say(require("caller.early").uri())
                local in_coroutine = coroutine.wrap(function()
                    return require("caller.early").uri()
                end)
                ngx.say(in_coroutine())
                ngx.say(require("caller.late").states())
            }
        }
    }
}
_EOC_
    $server->start($conf);
    my ( $status, undef, $body ) = ProcessTest::get( $port, '/some/uri' );
    is $status, 200, "code cache $code_cache: the packages are found";
    my ( $uri, $uri_in_coroutine, $states ) = split /\n/, $body;
    is $uri,              '/some/uri', "code cache $code_cache: the running request";
    is $uri_in_coroutine, '/some/uri', "code cache $code_cache: the running request in a coroutine";
    my $same = $code_cache eq 'on' ? 'true' : 'false';
    is $states, "truetrue$same", "code cache $code_cache: no VM, then the configuration's";
    $server->stop;
    unlike $server->log_text('error.log'), qr/\[(?:error|crit|emerg)\]/, "code cache $code_cache: in silence";
}

done_testing();
