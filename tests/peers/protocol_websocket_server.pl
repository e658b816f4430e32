# An echo server made with Protocol::WebSocket: protocol_websocket_server.pl. It closes at the message "bye".
use strict;
use warnings;

use IO::Socket::INET;
use Protocol::WebSocket::Handshake::Server;

$SIG{CHLD} = 'IGNORE';

my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 16)
  or die "cannot listen: $!";
$| = 1;
print 'listening on ', $server->sockport, "\n";

# One process for each client: the library does no I/O, so that plain blocking calls do.
while (1) {
    my $socket = $server->accept or next;
    my $pid = fork;
    die "cannot fork: $!" unless defined $pid;
    if ($pid == 0) {
        close $server;
        serve($socket);
        exit 0;
    }
    close $socket;
}

sub put {
    my ($socket, $bytes) = @_;
    while (length $bytes) {
        my $written = syswrite $socket, $bytes;
        exit 0 unless $written;
        substr $bytes, 0, $written, '';
    }
}

sub get {
    my ($socket) = @_;
    my $read = sysread $socket, my $chunk, 65_536;
    exit 0 unless $read;
    return $chunk;
}

sub serve {
    my ($socket) = @_;
    my $handshake = Protocol::WebSocket::Handshake::Server->new;
    until ($handshake->is_done) {
        my $chunk = get($socket);
        $handshake->parse($chunk) or die 'handshake: ', $handshake->error, "\n";
    }
    $handshake->res->subprotocol($handshake->req->subprotocol);
    put($socket, $handshake->to_string);

    # The library's limit is 65,536 bytes unless it is told that there is none.
    my $build   = sub { $handshake->build_frame(max_payload_size => 0, @_) };
    my $frame   = $build->();
    my $closing = 0;
    while (1) {
        $frame->append(get($socket));
        while (defined(my $bytes = $frame->next_bytes)) {
            if ($frame->is_close) {
                put($socket, $build->(type => 'close', buffer => substr $bytes, 0, 2)->to_bytes) unless $closing;
                return;
            }
            if ($frame->is_ping) {
                put($socket, $build->(type => 'pong', buffer => $bytes)->to_bytes);
                next;
            }
            if ($bytes ne 'bye') {
                my $type = $frame->is_binary ? 'binary' : 'text';
                put($socket, $build->(type => $type, buffer => $bytes)->to_bytes);
                next;
            }
            return if $handshake->version eq 'draft-hixie-75';
            $closing = 1;
            # Under hixie-76 the library leaves the code and the reason out.
            put($socket, $build->(type => 'close', buffer => pack('n', 4001) . 'bye')->to_bytes);
        }
    }
}
