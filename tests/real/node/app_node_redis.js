// A small application with node-redis in its RESP2 mode: node app_node_redis.js HOST PORT [PASSWORD]. Prints "ok N checks", exits 0.
'use strict';
const assert = require('node:assert');
const { createClient, RESP_TYPES } = require('redis');
const [host, port, password] = process.argv.slice(2);
let checks = 0;
const same = (a, b, why) => { assert.deepStrictEqual(a, b, why); checks++; };
const plain = (o) => Object.assign({}, o);

async function main() {
  const trouble = [];
  const c = createClient({ socket: { host, port: Number(port), reconnectStrategy: false }, password, RESP: 2 });
  c.on('error', (e) => trouble.push(e));
  await c.connect();
  same(await c.ping(), 'PONG');
  same(await c.echo('hello'), 'hello');
  same(await c.set('nr:a', '1', { EX: 1000 }), 'OK');
  same(await c.incrBy('nr:a', 41), 42);
  same(await c.get('nr:a'), '42');
  same(await c.get('nr:none'), null);
  assert(await c.ttl('nr:a') > 0);

  const buffers = c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const bin = Buffer.from([0, 255, 13, 10, 36, 128]);
  same(await c.set('nr:bin', bin), 'OK');
  same(await buffers.get('nr:bin'), bin);

  const keys = Array.from({ length: 100 }, (_, i) => `nr:many:${(i * 2654435761) >>> 0}`);
  same(await c.mSet(keys.map((k) => [k, 'v' + k])), 'OK');
  same(await c.mGet([...keys, 'nr:none']), [...keys.map((k) => 'v' + k), null]);
  same(await c.exists(keys), 100);
  same(await c.del(keys.slice(0, 50)), 50);
  same(await c.unlink(keys), 50);

  await c.del(['nr:h', 'nr:l', 'nr:s', 'nr:z']);
  same(await c.hSet('nr:h', { a: '1', b: 'zwei' }), 2);
  same(plain(await c.hGetAll('nr:h')), { a: '1', b: 'zwei' });
  same(await c.rPush('nr:l', ['a', 'b', 'c']), 3);
  same(await c.lRange('nr:l', 0, -1), ['a', 'b', 'c']);
  same(await c.sAdd('nr:s', ['x', 'y']), 2);
  same((await c.sMembers('nr:s')).sort(), ['x', 'y']);
  same(await c.zAdd('nr:z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }]), 2);
  same((await c.zRangeWithScores('nr:z', 0, -1)).map(plain), [{ value: 'a', score: 1 }, { value: 'b', score: 2.5 }]);
  same(await c.eval('return {KEYS[1], ARGV[1]}', { keys: ['nr:k'], arguments: ['v'] }), ['nr:k', 'v']);

  await assert.rejects(c.lPush('nr:a', 'x'), /WRONGTYPE/);
  await assert.rejects(c.sendCommand(['NOSUCH', 'x']), /unknown command/);
  await assert.rejects(c.sendCommand(['GET']), /wrong number of arguments/);
  same(await c.get('nr:a'), '42');

  // what is asked in one turn of the loop goes out as one pipeline
  const all = await Promise.all(Array.from({ length: 3000 }, (_, i) => (i % 2 ? c.set(`nr:c:${i % 300}`, `${i}`) : c.get('nr:a'))));
  same(all.every((v, i) => v === (i % 2 ? 'OK' : '42')), true);
  same(await c.multi().set('nr:p', '1').get('nr:p').execAsPipeline(), ['OK', '1']);

  const big = 'x'.repeat(3 << 20);
  same(await c.set('nr:big', big), 'OK');
  same((await c.get('nr:big')).length, big.length);
  await c.del('nr:big');

  await c.close();
  same(trouble, []);
  console.log(`ok ${checks} checks`);
}

main().catch((e) => { console.error(e); process.exit(1); });
