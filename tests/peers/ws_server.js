'use strict';
// An echo server made with ws 0.4: ws_server.js, with NODE_PATH naming its packages.
// It closes at the message "bye".
const http = require('http');
const WebSocketServer = require('ws').Server;

const server = http.createServer();
new WebSocketServer({ server }).on('connection', (connection) => {
  connection.on('message', (message) => (message === 'bye' ? connection.close() : connection.send(message)));
  connection.on('error', (error) => console.error(error));
});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
