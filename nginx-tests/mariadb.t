# A real MariaDB behind a small client over raw cosockets, that of examples/async.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use SqlTest;

SqlTest::run(
    'mariadb',
    product    => 'MariaDB',
    port       => 3306,
    key        => 'INT AUTO_INCREMENT',
    inserted   => 'done.affected_rows, " ", done.insert_id',
    insert     => '2 1',
    sleep      => 'SLEEP(5)',
    connection => 'CONNECTION_ID()',
    password   => "Access denied for user 'async'\@'localhost' (using password: YES) (28000)1045",
    database   => "Access denied for user 'async'\@'localhost' to database 'nowhere' (42000)1044",
    syntax     => "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version "
        . "for the right syntax to use near 'SELEC 1' at line 1 (42000)1064",
    twice      => "Duplicate entry '1' for key 'PRIMARY' (23000)1062",
    timeout    => 'timeout',
);
