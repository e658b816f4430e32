// A page in PhantomJS 1.9: phantomjs_client.js URL DRAFT TASK
var fs = require('fs');
var system = require('system');
var webpage = require('webpage');

function fail(reason) {
  system.stderr.write(reason + '\n');
  phantom.exit(1);
}

function main(url, draft, file) {
  var page = webpage.create();
  if (draft !== 'hixie-76') return fail('no such draft here: ' + draft);

  page.onError = function (message) { fail('error in the page: ' + message); };
  page.onCallback = function (result) {
    if (result.error) return fail(result.error);
    // What the page left undefined or null comes out of it as an empty string.
    result.subprotocol = result.subprotocol || null;
    system.stdout.write(JSON.stringify(result) + '\n');
    phantom.exit(0);
  };
  setTimeout(function () { fail('no end in 30 seconds'); }, 30000);

  // A page has an origin only if it has an address; nothing is fetched from it.
  page.setContent('<!DOCTYPE html><title>client</title>', 'http://localhost/');
  page.evaluate(function (url, task) {
    var messages = task.messages;
    var connection = task.subprotocol ? new WebSocket(url, task.subprotocol) : new WebSocket(url);
    var echoes = [];
    var closing = false;
    connection.onopen = function () { connection.send(messages[0]); };
    connection.onmessage = function (event) {
      if (closing || event.data !== messages[echoes.length]) {
        return window.callPhantom({ error: 'another message came back' });
      }
      echoes.push(event.data);
      if (echoes.length < messages.length) {
        connection.send(messages[echoes.length]);
      } else {
        closing = true;
        if (task.close) connection.close();
      }
    };
    connection.onclose = function (event) {
      if (!closing) return window.callPhantom({ error: 'closed before the last echo' });
      window.callPhantom({ echoes: echoes, closed: event.wasClean ? 'clean' : 'tcp', subprotocol: connection.protocol });
    };
  }, url, JSON.parse(fs.read(file)));
}

main.apply(null, system.args.slice(1));
