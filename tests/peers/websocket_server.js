'use strict';
// An echo server made with npm's websocket 1.0: websocket_server.js, with NODE_PATH naming its packages.
// It closes at the message "bye".
const http = require('http');
const WebSocketServer = require('websocket').server;

const server = http.createServer();
// The library's limit for a frame is 64 KiB. What it sends goes out in fragments of 16 KiB.
new WebSocketServer({ httpServer: server, maxReceivedFrameSize: 2 ** 20 }).on('request', (request) => {
  const connection = request.accept(request.requestedProtocols[0], request.origin);
  connection.on('message', (message) => {
    if (message.type === 'binary') connection.sendBytes(message.binaryData);
    else if (message.utf8Data === 'bye') connection.close(4001, 'bye');
    else connection.sendUTF(message.utf8Data);
  });
  connection.on('error', (error) => console.error(error));
});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
