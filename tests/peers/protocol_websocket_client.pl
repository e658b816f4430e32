# A client made with Protocol::WebSocket: protocol_websocket_client.pl URL DRAFT TASK
use strict;
use warnings;

use Encode ();
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use Protocol::WebSocket::Handshake::Client;
use Protocol::WebSocket::URL;

my %VERSIONS = (
    'hixie-75' => 'draft-hixie-75',
    'hixie-76' => 'draft-ietf-hybi-00',
    'hybi-08'  => 'draft-ietf-hybi-10',
    'rfc6455'  => 'draft-ietf-hybi-17',
);

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
# Answers from hybi on all look the same to it.
my $answered = $handshake->res->version;
die "answered in the way of $answered\n"
  unless $answered eq ($version eq 'draft-ietf-hybi-17' ? 'draft-ietf-hybi-10' : $version);

# The library's limit is 65,536 bytes unless it is told that there is none.
sub build { $handshake->build_frame(max_payload_size => 0, @_) }

my $frame = build();
$frame->append($rest);

sub echo {
    my ($type, $bytes) = @_;
    put(build(type => $type, buffer => $bytes)->to_bytes);
    my $echo;
    until (defined($echo = $frame->next_bytes) && !$frame->is_ping) {
        if (defined $echo) {
            put(build(type => 'pong', buffer => $echo)->to_bytes);
            next;
        }
        my $chunk = get();
        die "cut off before the echo\n" unless defined $chunk;
        $frame->append($chunk);
    }
    my $binary = $frame->is_binary ? 'binary' : 'text';
    die "another message came back\n" unless $echo eq $bytes && $binary eq $type;
    return $echo;
}

my @echoes = map { Encode::decode('UTF-8', echo('text', Encode::encode('UTF-8', $_))) } @{$task->{messages}};
my @binary = map { encode_base64(echo('binary', decode_base64($_)), '') } @{$task->{binary}};

sub finish {
    my ($body) = @_;
    if ($draft ne 'hixie-75') {
        put(build(type => 'close', buffer => $body)->to_bytes);
    }
    else {
        shutdown $socket, 1;
    }
}

finish(pack('n', 4001) . 'bye') if $task->{close};
my %end   = (closed => 'tcp', code => undef, reason => '');
my $chunk = '';
# What came with the last echo is looked at before more is read.
do {
    $frame->append($chunk);
    while (defined(my $body = $frame->next_bytes)) {
        die "a message instead of the end\n" unless $frame->is_close;
        my ($code, $reason) = unpack 'na*', $body;
        %end = (closed => 'clean', code => $code, reason => $reason // '');
        finish(substr $body, 0, 2) unless $task->{close};
    }
} while (defined($chunk = get()));
print encode_json({%end, echoes => \@echoes, binary => \@binary, subprotocol => $handshake->res->subprotocol}), "\n";
