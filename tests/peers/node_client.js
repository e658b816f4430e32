'use strict';
// A client made with one of four libraries that are alike: node_client.js LIBRARY URL DRAFT TASK
// NODE_PATH names the library's packages.
const fs = require('fs');

const VERSIONS = { 'hybi-08': 8, rfc6455: 13 };

const [library, url, draft, file] = process.argv.slice(2);
const task = JSON.parse(fs.readFileSync(file, 'utf8'));
const version = VERSIONS[draft];
const protocols = task.subprotocol ? [task.subprotocol] : [];
const origin = 'http://localhost';

const LIBRARIES = {
  'faye-websocket': () => {
    const extensions = task.deflate ? [require('permessage-deflate')] : [];
    return new (require('faye-websocket').Client)(url, protocols, { extensions, headers: { Origin: origin } });
  },
  'ws-0.4': () =>
    new (require('ws'))(url, { origin, protocol: task.subprotocol || undefined, protocolVersion: version }),
  ws: () =>
    new (require('ws'))(url, protocols, { origin, protocolVersion: version, perMessageDeflate: task.deflate }),
  websocket: () =>
    new (require('websocket').w3cwebsocket)(url, protocols, origin, null, null, {
      webSocketVersion: version,
      maxReceivedFrameSize: 2 ** 20,
    }),
};

function fail(reason) {
  console.error(String(reason));
  process.exit(1);
}

if (!version) fail('no such draft here: ' + draft);
setTimeout(() => fail('no end in 30 seconds'), 30000);

const todo = [...task.messages, ...task.binary.map((encoded) => Buffer.from(encoded, 'base64'))];
const echoes = [];
const binary = [];
const connection = LIBRARIES[library]();

function step() {
  if (todo.length) connection.send(todo[0]);
  else if (task.close) connection.close(4001, 'bye');
}

function hear(data) {
  const sent = todo.shift();
  if (typeof data === 'string') {
    if (data !== sent) fail('another message came back');
    echoes.push(data);
  } else {
    const bytes = Buffer.from(data);
    if (!Buffer.isBuffer(sent) || !bytes.equals(sent)) fail('another message came back');
    binary.push(bytes.toString('base64'));
  }
  step();
}

connection.onopen = step;
connection.onmessage = (event) => hear(event.data);
connection.onerror = (event) => fail(event.message || event);
connection.onclose = ({ code, reason }) => {
  if (todo.length) fail('closed before the last echo');
  const closed = code === 1006 ? 'tcp' : 'clean';
  const report = { echoes, binary, closed, code, reason: String(reason || ''), subprotocol: connection.protocol || null };
  process.stdout.write(JSON.stringify(report) + '\n', () => process.exit(0));
};
