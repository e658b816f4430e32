# An echo server made with Mojolicious: mojolicious_server.pl. It closes at the message "bye".
use Mojolicious::Lite -signatures;
use Mojo::IOLoop;
use Mojo::Server::Daemon;

websocket '/*place' => sub ($controller) {
    $controller->tx->with_compression;
    $controller->tx->with_protocols('proto1');
    $controller->on(binary => sub ($controller, $bytes) { $controller->send({binary => $bytes}) });
    $controller->on(text => sub ($controller, $bytes) {
        $bytes eq 'bye' ? $controller->finish(4001 => 'bye') : $controller->send({text => $bytes});
    });
};

app->log->level('warn');
my $daemon = Mojo::Server::Daemon->new(app => app, listen => ['http://127.0.0.1:0'], silent => 1);
$daemon->start;
$| = 1;
print 'listening on ', $daemon->ports->[0], "\n";
Mojo::IOLoop->start;
