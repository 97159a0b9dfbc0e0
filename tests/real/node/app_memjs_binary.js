// A small application with memjs, which speaks memcached's binary protocol only: node app_memjs_binary.js HOST PORT. Prints "ok N checks", exits 0.
'use strict';
const assert = require('node:assert');
const memjs = require('memjs');
const [host, port] = process.argv.slice(2);
let checks = 0;
const same = (a, b, why) => { assert.deepStrictEqual(a, b, why); checks++; };
const text = (r) => (r.value === null ? null : r.value.toString());
const called = (f) => new Promise((ok, no) => f((e, ...r) => (e ? no(e) : ok(r))));

async function main() {
  const c = memjs.Client.create(`${host}:${port}`, { retries: 1, timeout: 20 });
  same(await c.set('mj:a', 'one', { expires: 1000 }), true);
  same(text(await c.get('mj:a')), 'one');
  same(text(await c.get('mj:none')), null);
  same(await c.add('mj:a', 'two', {}), false);
  same(await c.add('mj:b', 'two', {}), true);
  same(await c.replace('mj:none', 'x', {}), false);
  same(await c.replace('mj:a', '2', {}), true);
  same(await c.append('mj:a', '3'), true);
  await assert.rejects(c.append('mj:none', 'x'), /not stored/);
  same(text(await c.get('mj:a')), '23');
  same((await c.increment('mj:n', 5, { initial: 10 })).value, 10);
  same((await c.increment('mj:n', 5, { initial: 10 })).value, 15);
  same((await c.decrement('mj:n', 3, { initial: 10 })).value, 12);
  same(await c.touch('mj:a', 50), true);
  same(await c.touch('mj:none', 50), false);
  same(await c.delete('mj:b'), true);
  same(await c.delete('mj:b'), false);

  const bin = Buffer.from([0, 255, 13, 10, 36, 128]);
  same(await c.set('mj:bin', bin, {}), true);
  same((await c.get('mj:bin')).value, bin);
  same(await c.set('mj: blank', 'v', {}), true);
  same(text(await c.get('mj: blank')), 'v');
  const big = 'x'.repeat(900000);
  same(await c.set('mj:big', big, {}), true);
  same(text(await c.get('mj:big')), big);

  const keys = Array.from({ length: 300 }, (_, i) => `mj:many:${(i * 2654435761) >>> 0}`);
  same(await Promise.all(keys.map((k) => c.set(k, 'v' + k, {}))), keys.map(() => true));
  same((await Promise.all(keys.map((k) => c.get(k)))).map(text), keys.map((k) => 'v' + k));

  const [, stats] = await called((done) => c.stats(done));
  assert(Number(stats.pid) > 0, JSON.stringify(stats));
  await called((done) => c.flush(done));
  same(text(await c.get('mj:a')), null);
  c.quit();
  console.log(`ok ${checks} checks`);
}

main().catch((e) => { console.error(e); process.exit(1); });
