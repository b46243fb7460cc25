# HTTP/1.1: the tables of what holds in each version of HTTP.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use HttpVersions;

HttpVersions::run('h1');
done_testing;
