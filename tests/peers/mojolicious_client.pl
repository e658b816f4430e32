# A client made with Mojolicious: mojolicious_client.pl URL DRAFT TASK
use Mojo::Base -strict, -signatures;
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use Mojo::Util qw(b64_decode b64_encode encode);

my ($url, $draft, $file) = @ARGV;
die "no such draft here: $draft\n" unless $draft eq 'rfc6455';
open my $handle, '<:raw', $file or die "cannot read $file: $!\n";
my $task = decode_json(do { local $/; <$handle> });

Mojo::IOLoop->timer(30 => sub { die "no end in 30 seconds\n" });
Mojo::IOLoop->singleton->reactor->on(error => sub ($reactor, $error) { die $error });

my @todo = (
    (map { {text   => encode 'UTF-8', $_} } @{$task->{messages}}),
    (map { {binary => b64_decode $_} } @{$task->{binary}}),
);
my %result = (echoes => [], binary => []);
my ($agent, $finished) = (Mojo::UserAgent->new);

sub step ($transaction) {
    if    (@todo)          { $transaction->send($todo[0]) }
    elsif ($task->{close}) { $transaction->finish(4001 => 'bye') }
}

sub hear ($transaction, $type, $bytes) {
    my $sent = shift @todo;
    die "another message came back\n" unless $sent && defined $sent->{$type} && $sent->{$type} eq $bytes;
    push @{$result{$type eq 'text' ? 'echoes' : 'binary'}},
      $type eq 'text' ? Mojo::Util::decode('UTF-8', $bytes) : b64_encode($bytes, '');
    step($transaction);
}

my %headers = $task->{deflate} ? ('Sec-WebSocket-Extensions' => 'permessage-deflate') : ();
my @protocols = defined $task->{subprotocol} ? [$task->{subprotocol}] : ();
$agent->websocket($url => \%headers => @protocols => sub ($agent, $transaction) {
    die 'handshake: ', $transaction->res->code // 'no answer', "\n" unless $transaction->is_websocket;
    $result{subprotocol} = $transaction->protocol;
    $transaction->on(text   => sub ($transaction, $bytes) { hear($transaction, 'text',   $bytes) });
    $transaction->on(binary => sub ($transaction, $bytes) { hear($transaction, 'binary', $bytes) });
    $transaction->on(finish => sub ($transaction, $code, $reason) {
        die "closed before the last echo\n" if @todo;
        @result{qw(closed code reason)} = ($code == 1006 ? 'tcp' : 'clean', $code, $reason // '');
    });
    # What it said last is still to be written when it says that it has finished.
    Mojo::IOLoop->stream($transaction->connection)->on(close => sub { Mojo::IOLoop->stop });
    step($transaction);
});
Mojo::IOLoop->start;
print encode_json(\%result), "\n";
