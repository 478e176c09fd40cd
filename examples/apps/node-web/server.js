'use strict';

const http = require('node:http');

const express = require('express');
const { WebSocketServer } = require('ws');

const app = express();
app.disable('x-powered-by');

app.get('/', (request, response) => {
  response.type('text').send(`Hello from Flynn. This is ${process.env.FLYNN_RELEASE ?? 'an unknown release'}.\n`);
});

app.get('/healthz', (request, response) => {
  response.type('text').send('ok\n');
});

// The variables that the platform sets, and those whose names the app was told to show.
app.get('/env', (request, response) => {
  const shown = (process.env.SHOWN ?? '').split(',').map((name) => name.trim());
  const isShown = ([name]) => name.startsWith('FLYNN_') || shown.includes(name);
  response.json(Object.fromEntries(Object.entries(process.env).filter(isShown)));
});

const server = http.createServer(app);

// Sends back what it is sent.
const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (socket) => {
  socket.on('error', (error) => console.error(`a WebSocket failed: ${error.message}`));
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

const port = Number(process.env.PORT ?? 8080);
server.listen(port, () => console.log(`node-web listens on ${port} with Node.js ${process.versions.node}`));

// Requests under way are answered. WebSockets are told to come back.
function stop(signal) {
  console.log(`node-web ends by ${signal}`);
  for (const socket of sockets.clients) {
    socket.close(1001, 'the server is restarting');
  }
  server.close(() => process.exit(0));
  server.closeIdleConnections();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
