package Gate;

# A file, for as long as which Lua code waits: a test shuts the gate, has many requests wait at it, and opens it.

use strict;
use warnings;

sub new {
    my ( $class, $server ) = @_;
    return bless { server => $server }, $class;
}

sub path { return $_[0]{server}->prefix . '/gate' }

sub shut {
    my ($self) = @_;
    $self->{server}->write_file( gate => '' );
}

sub open {
    my ($self) = @_;
    unlink $self->path or die "gate: $!";
}

# The Lua function `wait`.
sub wait_function {
    my ($self) = @_;
    my $path = $self->path;
    return <<"_EOC_";
function wait()
    local gate
    repeat
        ngx.sleep(0.1)
        gate = io.open("$path")
        if gate then gate:close() end
    until not gate
end
_EOC_
}

1;
