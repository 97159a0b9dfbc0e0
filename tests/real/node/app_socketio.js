// socket.io's Redis adapter: two servers that speak with each other over pub/sub.
'use strict';
const { host, port, ask, check, collector, run } = require('./checks');
const { Server } = require('socket.io');
const { createAdapter, createShardedAdapter } = require('@socket.io/redis-adapter');
const Redis = require('ioredis');
const { createClient } = require('redis');

async function pair(name, adapter) {
  let a;
  let b;
  const ready = await check('servers', `${name}: both ready`, async () => {
    const make = async () => {
      const io = new Server();
      io.adapter(await adapter());
      return io;
    };
    a = await make();
    b = await make();
    // subscriptions are under way: ask until the other one is seen
    const end = Date.now() + 3000;
    for (;;) {
      if (await a.of('/').adapter.serverCount() === 2 && await b.of('/').adapter.serverCount() === 2) return true;
      if (Date.now() > end) throw new Error('the servers do not see each other');
      await new Promise((go) => setTimeout(go, 5));
    }
  });
  if (!ready) return;
  await check('servers', `${name}: events`, async () => {
    const got = collector();
    b.on('hello', (x, y) => got.put(x, y));
    for (let i = 0; i < 5; i++) a.serverSideEmit('hello', 'a', i);
    return got.take(5);
  });
  await check('servers', `${name}: questions and answers`, async () => {
    b.on('ask', (n, answer) => answer(n + 1));
    return new Promise((go, no) => a.serverSideEmit('ask', 41, (e, replies) => (e ? no(e) : go(replies))));
  });
  await check('reconnect', `${name}: events after the connections were lost`, async () => {
    await ask('kill');
    const got = collector();
    b.on('again', (x) => got.put(x));
    const more = setInterval(() => a.serverSideEmit('again', 'a'), 20);
    try { return await got.take(1); } finally { clearInterval(more); }
  });
  await check('servers', `${name}: sockets of all`, async () => (await a.fetchSockets()).length);
}

run(async () => {
  await pair('ioredis', async () => {
    const pub = new Redis({ host, port }).on('error', () => {});
    return createAdapter(pub, pub.duplicate().on('error', () => {}), { key: 'io1', requestsTimeout: 500 });
  });
  await pair('node-redis', async () => {
    const pub = createClient({ socket: { host, port } });
    const sub = pub.duplicate();
    for (const c of [pub, sub]) { c.on('error', () => {}); await c.connect(); }
    return createAdapter(pub, sub, { key: 'io2', requestsTimeout: 500 });
  });
  await pair('sharded', async () => {
    const pub = createClient({ socket: { host, port } });
    const sub = pub.duplicate();
    for (const c of [pub, sub]) { c.on('error', () => {}); await c.connect(); }
    return createShardedAdapter(pub, sub, { channelPrefix: 'io3', requestsTimeout: 500 });
  });
});
