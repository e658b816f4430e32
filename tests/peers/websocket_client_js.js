'use strict';
// A client made with npm's websocket-client 1.0.0: websocket_client_js.js URL DRAFT TASK
const fs = require('fs');
const { WebSocket } = require('websocket-client');

const [url, draft, file] = process.argv.slice(2);
if (draft !== 'hixie-76') fail('no such draft here: ' + draft);
const { messages, subprotocol, close } = JSON.parse(fs.readFileSync(file, 'utf8'));
const echoes = [];
let closing = false;
let ended = false;

function fail(reason) {
  console.error(String(reason));
  process.exit(1);
}

function succeed(closed) {
  if (ended) return; // a close frame is followed by the end of TCP
  ended = true;
  process.stdout.write(JSON.stringify({ echoes, closed, subprotocol: null }) + '\n', () => process.exit(0));
}

setTimeout(() => fail('no end in 30 seconds'), 30000);
const connection = new WebSocket(url, subprotocol);
// The library says "close" once the other side's close frame has come, and an error if TCP ends before it.
connection.on('wserror', (error) => (closing ? succeed('tcp') : fail(error)));
connection.on('open', () => connection.send(messages[0]));
connection.on('message', (echo) => {
  if (closing || echo !== messages[echoes.length]) fail('another message came back');
  echoes.push(echo);
  if (echoes.length < messages.length) {
    connection.send(messages[echoes.length]);
  } else {
    closing = true;
    if (close) connection.close();
  }
});
connection.on('close', () => (closing ? succeed('clean') : fail('closed before the last echo')));
