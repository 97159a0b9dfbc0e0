// express-session with connect-redis over node-redis: a small web server with sessions.
'use strict';
const http = require('node:http');
const { host, port, check, run } = require('./checks');
const session = require('express-session');
const { RedisStore } = require('connect-redis');
const { createClient } = require('redis');

run(async () => {
  const client = createClient({ socket: { host, port } });
  client.on('error', () => {});
  await client.connect();
  const store = new RedisStore({ client });
  const use = session({ store, secret: 's', resave: false, saveUninitialized: false });
  const server = http.createServer((req, res) => use(req, res, () => {
    if (req.url === '/login') req.session.user = 'ann';
    if (req.url !== '/out') {
      if (req.session.user) req.session.views = (req.session.views || 0) + 1;
      res.end(JSON.stringify([req.session.user || null, req.session.views || 0]));
    } else req.session.destroy(() => res.end('"gone"'));
  }));
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  const visitor = () => {
    let cookie = '';
    return async (path) => {
      const res = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: cookie ? { cookie } : {} });
      const set = res.headers.get('set-cookie');
      if (set) cookie = set.split(';')[0];
      return res.json();
    };
  };
  await check('sessions', 'log in, views, log out', async () => {
    const a = visitor();
    const b = visitor();
    return [await a('/'), await a('/login'), await a('/'), await b('/'), await a('/'), await a('/out'), await a('/')];
  });
  await check('sessions', '50 visitors', async () => Promise.all(Array.from({ length: 50 }, async () => { const v = visitor(); await v('/login'); return v('/'); })));
  await check('sessions', 'all of the store', async () => [await store.length(), (await store.all()).length, (await store.ids()).length]);
  await check('sessions', 'the store by itself', async () => {
    await store.set('one', { user: 'x', cookie: { originalMaxAge: 1000000 } });
    await store.touch('one', { cookie: {} });
    const got = await store.get('one');
    await store.destroy('one');
    return [got, await store.get('one')];
  });
  await check('sessions', 'clear', async () => { await store.clear(); return store.length(); });
  server.close();
});
