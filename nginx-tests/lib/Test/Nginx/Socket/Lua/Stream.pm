package Test::Nginx::Socket::Lua::Stream;

# Stream servers in the same format: `stream_server_config` becomes a server
# one port above the HTTP server's, `stream_config` goes beside it.

use Test::Nginx::Socket::Lua -Base;

our $VERSION = '0.30';

sub stream_part() {
    my ($block) = @_;
    my $config = $block->stream_config // '';
    my $server = $block->stream_server_config;
    my $port   = Test::Nginx::Util::server_port() + 1;
    return <<"_EOC_";
stream {
$config
    server {
        listen $port;

$server
    }
}
_EOC_
}

Test::Nginx::Util::add_block_preprocessor( sub {
    my $block = $_[0];
    return if !defined $block->stream_server_config;
    my $main = $block->main_config // '';
    $block->set_value( main_config => $main . stream_part($block) );
} );

1;
