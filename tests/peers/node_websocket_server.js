'use strict';
// An echo server made with node-websocket-server: node_websocket_server.js, with NODE_PATH naming its packages.
// It closes at the message "bye".
const http = require('http');
const websocket = require('node-websocket-server');

const server = http.createServer();
websocket.createServer({ server }).on('connection', (connection) => {
  connection.on('message', (message) => (message === 'bye' ? connection.close() : connection.send(message)));
});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
