'use strict';
// Gives old packages back what Node has taken away since. Loaded first: node -r ./node_shim.js SCRIPT.

const crypto = require('crypto');
const events = require('events');
const http = require('http');
const Module = require('module');
const util = require('util');

// A string given to a hash was a string of bytes, one for each character.
const update = crypto.Hash.prototype.update;
crypto.Hash.prototype.update = function (data, encoding) {
  return update.call(this, typeof data === 'string' ? Buffer.from(data, encoding || 'latin1') : data);
};

process.EventEmitter = events.EventEmitter;

const load = Module._load;
Module._load = function (name, ...rest) {
  return name === 'sys' ? util : load.call(this, name, ...rest);
};

// The client object of Node 0.1: it makes requests, and hears of their upgrades.
http.createClient = function (port, host) {
  const client = new events.EventEmitter();
  client.request = function (path, headers) {
    const request = http.request({ agent: false, host, port, path, headers });
    request.on('upgrade', (response, socket, head) => client.emit('upgrade', response, socket, head));
    request.on('response', (response) => client.emit('error', new Error('answered ' + response.statusCode)));
    request.on('error', (error) => client.emit('error', error));
    return request;
  };
  client.end = function () {};
  return client;
};
