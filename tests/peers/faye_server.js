'use strict';
// An echo server made with faye-websocket: faye_server.js, with NODE_PATH naming its packages.
// It closes at the message "bye".
const http = require('http');
const FayeWebSocket = require('faye-websocket');
const deflate = require('permessage-deflate');

const server = http.createServer();
server.on('upgrade', (request, socket, head) => {
  // The library answers subprotocols from hybi on only; before it, the field is set by hand.
  const asked = request.headers['sec-websocket-protocol'];
  const old = request.headers['sec-websocket-key1'];
  const headers = asked && old ? { 'Sec-WebSocket-Protocol': asked } : {};
  const connection = new FayeWebSocket(request, socket, head, ['proto1'], { headers, extensions: [deflate] });
  connection.on('message', ({ data }) => (data === 'bye' ? connection.close(4001, 'bye') : connection.send(data)));
  connection.on('error', (event) => console.error(event.message));
});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
