# A real PostgreSQL behind a small client over raw cosockets, that of examples/async.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use SqlTest;

SqlTest::run(
    'postgresql',
    product    => 'PostgreSQL',
    port       => 5432,
    key        => 'SERIAL',
    inserted   => 'done.command',
    insert     => 'INSERT 0 2',
    sleep      => 'pg_sleep(5)',
    connection => 'pg_backend_pid()',
    password   => 'FATAL: password authentication failed for user "async"28P01',
    database   => 'FATAL: database "nowhere" does not exist3D000',
    syntax     => 'ERROR: syntax error at or near "SELEC"42601',
    twice      => 'ERROR: duplicate key value violates unique constraint "word_pkey"23505',
    timeout    => 'timeoutnil',
);
