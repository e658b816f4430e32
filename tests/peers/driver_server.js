'use strict';
// An echo server made with websocket-driver alone: driver_server.js, with NODE_PATH naming its packages.
// It closes at the message "bye".
const http = require('http');
const driver = require('websocket-driver');

const server = http.createServer();
server.on('upgrade', (request, socket, head) => {
  const connection = driver.http(request, { protocols: ['proto1'] });
  // The library answers subprotocols from hybi on only; before it, the field is set by hand.
  const asked = request.headers['sec-websocket-protocol'];
  if (asked && request.headers['sec-websocket-key1']) connection.setHeader('Sec-WebSocket-Protocol', asked);
  connection.on('message', ({ data }) => {
    if (typeof data !== 'string') connection.binary(data);
    else if (data === 'bye') connection.close('bye', 4001);
    else connection.text(data);
  });
  connection.on('error', (error) => console.error(error.message));
  socket.on('error', () => socket.destroy());
  // The library leaves the socket to us: half open when the client ends TCP, the only close of hixie-75.
  connection.on('close', () => socket.end());
  socket.on('end', () => socket.end());
  connection.io.write(head);
  socket.pipe(connection.io);
  connection.io.pipe(socket);
  connection.start();
});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
