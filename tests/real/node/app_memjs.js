// memjs, which speaks memcached's binary protocol only.
'use strict';
const { host, port, check, error, run, spread } = require('./checks');
const { Client } = require('memjs');

run(async () => {
  const c = Client.create(`${host}:${port}`, { retries: 0, timeout: 3, logger: { log() {} } });
  const value = async (k) => { const { value: v } = await c.get(k); return v && v.toString('latin1'); };
  const keys = spread(60, 'mj:');
  const answers = await check('get, set', 'set get delete', async () => [await c.set('a', '1', {}), await value('a'), await value('none'), await c.delete('a'), await c.delete('a'), await value('a')]);
  if (!answers) return; // its requests have no end then
  await check('get, set', 'bytes, expiry', async () => [await c.set('b', Buffer.from([0, 13, 10, 255]), { expires: 1000 }), (await c.get('b')).value]);
  await check('add, replace, append', 'all', async () => [await c.add('k', '1', {}), await c.add('k', '2', {}), await c.replace('k', '3', {}), await c.replace('none', '3', {}), await c.append('k', '4'), await c.prepend('k', '2'), await value('k')]);
  await check('counters', 'incr decr', async () => [await c.increment('i', 5, { initial: 10 }), await c.increment('i', 5, {}), await c.decrement('i', 100, {})]);
  await check('touch', 'touch', async () => [await c.touch('k', 100), await c.touch('none', 100)]);
  await check('many keys', 'at once', async () => [await Promise.all(keys.map((k) => c.set(k, 'v' + k, {}))), await Promise.all(keys.map(value))]);
  await check('large values', '900 KB', async () => [await c.set('big', 'x'.repeat(900000), {}), (await value('big')).length]);
  await check('errors', 'too large', async () => [await error(() => c.set('huge', 'x'.repeat(5 << 20), {})), await value('k')]);
  await check('stats, flush', 'flush', async () => [Object.values(await c.flush()).length, await value('k')]);
});
