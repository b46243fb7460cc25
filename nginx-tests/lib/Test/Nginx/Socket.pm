package Test::Nginx::Socket;

# The Test::Nginx::Socket format: declarative blocks (Test::Base) that start an
# nginx, send requests over raw sockets and check responses and error log.

use Test::Base -Base;
use Test::Nginx::Util;

our $VERSION = '0.30';
our @EXPORT  = @Test::Nginx::Util::EXPORT;

1;
