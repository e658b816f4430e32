'use strict';
// An echo server made with ws 0.4 or 8: ws_server.js, with NODE_PATH naming its packages.
// It closes at the message "bye".
const http = require('http');
const WebSocketServer = require('ws').Server;

const server = http.createServer();
// ws 0.4 knows no compression and ignores the setting.
new WebSocketServer({ server, perMessageDeflate: true }).on('connection', (connection) => {
  connection.on('message', (data, flags) => {
    // ws 8 hands out bytes for text too, and a boolean for what they are.
    const binary = flags === true || Boolean(flags && flags.binary);
    if (!binary && String(data) === 'bye') connection.close(4001, 'bye');
    else connection.send(binary ? data : String(data), { binary });
  });
  connection.on('error', (error) => console.error(error));
});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
