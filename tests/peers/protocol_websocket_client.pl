# A client made with Protocol::WebSocket: protocol_websocket_client.pl URL DRAFT TASK
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use Protocol::WebSocket::Handshake::Client;
use Protocol::WebSocket::URL;

my %VERSIONS = ('hixie-75' => 'draft-hixie-75', 'hixie-76' => 'draft-ietf-hybi-00');

my ($url, $draft, $file) = @ARGV;
my $version = $VERSIONS{$draft} or die "no such draft here: $draft\n";
open my $handle, '<:raw', $file or die "cannot read $file: $!\n";
my $task = decode_json(do { local $/; <$handle> });

$SIG{ALRM} = sub { die "no end in 30 seconds\n" };
alarm 30;

my $place  = Protocol::WebSocket::URL->new->parse($url);
my $socket = IO::Socket::INET->new(PeerAddr => $place->host, PeerPort => $place->port)
  or die "cannot connect: $!\n";

sub put {
    my ($bytes) = @_;
    while (length $bytes) {
        my $written = syswrite $socket, $bytes or die "cannot write: $!\n";
        substr $bytes, 0, $written, '';
    }
}

# The next bytes, or undef at the end.
sub get {
    my $read = sysread $socket, my $chunk, 65_536;
    die "cannot read: $!\n" unless defined $read;
    return $read ? $chunk : undef;
}

my $handshake = Protocol::WebSocket::Handshake::Client->new(url => $url, version => $version);
$handshake->req->subprotocol($task->{subprotocol}) if defined $task->{subprotocol};
put($handshake->to_string);
my $rest = '';
until ($handshake->is_done) {
    my $chunk = get();
    die "the handshake was cut off\n" unless defined $chunk;
    $handshake->parse($chunk) or die 'handshake: ', $handshake->error, "\n";
    $rest = $chunk;
}
# With no Sec-WebSocket-Origin the library takes the answer for one of hixie-75, and checks no key.
die 'answered in the way of ', $handshake->res->version, "\n" unless $handshake->res->version eq $version;

my $frame = $handshake->build_frame;
$frame->append($rest);
my @echoes;
for my $message (@{$task->{messages}}) {
    put($handshake->build_frame(buffer => $message)->to_bytes);
    my $echo;
    until (defined($echo = $frame->next)) {
        my $chunk = get();
        die "cut off before the echo\n" unless defined $chunk;
        $frame->append($chunk);
    }
    die "another message came back\n" unless $echo eq $message;
    push @echoes, $echo;
}

sub finish {
    if ($draft eq 'hixie-76') {
        put($handshake->build_frame(type => 'close')->to_bytes);
    }
    else {
        shutdown $socket, 1;
    }
}

finish() if $task->{close};
my $closed = 'tcp';
my $chunk  = '';
# What came with the last echo is looked at before more is read.
do {
    $frame->append($chunk);
    while (defined($frame->next)) {
        die "a message instead of the end\n" unless $frame->is_close;
        $closed = 'clean';
        finish() unless $task->{close};
    }
} while (defined($chunk = get()));
print encode_json({echoes => \@echoes, closed => $closed, subprotocol => $handshake->res->subprotocol}), "\n";
