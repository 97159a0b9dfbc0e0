// A small application with ioredis: node app_ioredis.js HOST PORT [PASSWORD]. Prints "ok N checks" and exits 0.
'use strict';
const assert = require('node:assert');
const Redis = require('ioredis');
const [host, port, password] = process.argv.slice(2);
let checks = 0;
const same = (a, b, why) => { assert.deepStrictEqual(a, b, why); checks++; };

async function main() {
  const trouble = [];
  // the ready check asks INFO, which comes with the next release of kvmux (users of nutcracker switch it off, too)
  const r = new Redis({ host, port: Number(port), password, enableReadyCheck: false, lazyConnect: true, maxRetriesPerRequest: 2 });
  r.on('error', (e) => trouble.push(e));
  await r.connect();
  same(await r.ping(), 'PONG');
  same(await r.ping('hello'), 'hello');
  same(await r.echo('ключ'), 'ключ');

  same(await r.set('io:a', '1'), 'OK');
  same(await r.incrby('io:a', 41), 42);
  same(await r.get('io:a'), '42');
  same(await r.get('io:none'), null);
  same(await r.setex('io:t', 1000, 'v'), 'OK');
  assert(await r.ttl('io:t') > 0);
  const bin = Buffer.from([0, 255, 13, 10, 36, 128]);
  same(await r.set(Buffer.from([1, 0, 255]), bin), 'OK');
  same(await r.getBuffer(Buffer.from([1, 0, 255])), bin);

  const keys = Array.from({ length: 100 }, (_, i) => `io:many:${(i * 2654435761) >>> 0}`);
  same(await r.mset(new Map(keys.map((k) => [k, 'v' + k]))), 'OK');
  same(await r.mget(...keys, 'io:none'), [...keys.map((k) => 'v' + k), null]);
  same(await r.exists(...keys), 100);
  same(await r.touch(...keys.slice(0, 10)), 10);
  same(await r.del(...keys.slice(0, 50)), 50);
  same(await r.unlink(...keys), 50);

  await r.del('io:h', 'io:l', 'io:s', 'io:z', 'io:x');
  same(await r.hset('io:h', { a: 1, b: 'zwei' }), 2);
  same(await r.hgetall('io:h'), { a: '1', b: 'zwei' });
  same(await r.rpush('io:l', 'a', 'b', 'c'), 3);
  same(await r.lrange('io:l', 0, -1), ['a', 'b', 'c']);
  same(await r.sadd('io:s', 'x', 'y'), 2);
  same((await r.smembers('io:s')).sort(), ['x', 'y']);
  same(await r.zadd('io:z', 1, 'a', 2.5, 'b'), 2);
  same(await r.zrange('io:z', 0, -1, 'WITHSCORES'), ['a', '1', 'b', '2.5']);
  same(await r.xadd('io:x', '1-1', 'f', 'v'), '1-1');
  same(await r.xrange('io:x', '-', '+'), [['1-1', ['f', 'v']]]);
  same(await r.eval('return {KEYS[1], ARGV[1]}', 1, 'io:k', 'v'), ['io:k', 'v']);

  // errors are answers: the same connection goes on
  await assert.rejects(r.lpush('io:a', 'x'), /WRONGTYPE/);
  await assert.rejects(r.call('NOSUCH', 'x'), /unknown command/);
  await assert.rejects(r.call('GET'), /wrong number of arguments/);
  same(await r.get('io:a'), '42');

  const results = await r.pipeline().set('io:p', '1').lpush('io:p', 'x').call('NOSUCH').get('io:p').mget('io:p', 'io:none').exec();
  same(results.map(([e]) => e === null), [true, false, false, true, true]);
  same(results[3][1], '1');
  same(results[4][1], ['1', null]);

  const all = await Promise.all(Array.from({ length: 3000 }, (_, i) => (i % 2 ? r.set(`io:c:${i % 300}`, `${i}`) : r.get('io:a'))));
  same(all.every((v, i) => v === (i % 2 ? 'OK' : '42')), true);

  const big = 'x'.repeat(3 << 20);
  same(await r.set('io:big', big), 'OK');
  same((await r.get('io:big')).length, big.length);
  await r.del('io:big');

  const auto = new Redis({ host, port: Number(port), password, enableReadyCheck: false, enableAutoPipelining: true });
  same(await Promise.all(keys.map((k) => auto.set(k, k)).concat(keys.map((k) => auto.get(k)))), keys.map(() => 'OK').concat(keys));
  same(await auto.quit(), 'OK');

  same(await r.quit(), 'OK');
  same(trouble, []);
  console.log(`ok ${checks} checks`);
}

main().catch((e) => { console.error(e); process.exit(1); });
