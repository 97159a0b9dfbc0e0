// node-redis as an application uses it; the fourth argument says which version. See checks.js.
'use strict';
const { host, port, authPort, moduleName, check, error, retry, collector, ask, spread, sorted, run } = require('./checks');
const { createClient, RESP_TYPES, defineScript, WatchError } = require(moduleName || 'redis');

const addTo = {
  NUMBER_OF_KEYS: 2,
  SCRIPT: 'return redis.call("INCRBY", KEYS[1], ARGV[1]) + redis.call("INCRBY", KEYS[2], ARGV[1])',
  parseCommand(parser, a, b, n) { parser.pushKey(a); parser.pushKey(b); parser.push(String(n)); },
  transformReply: (v) => v,
};
const open = async (more) => {
  const c = createClient({ socket: { host, port }, ...more });
  c.on('error', () => {});
  return c.connect();
};

async function data(c) {
  await check('strings', 'set get', async () => [await c.set('s:a', '1'), await c.get('s:a'), await c.get('s:none')]);
  await check('strings', 'counters', async () => [await c.incr('s:n'), await c.incrBy('s:n', 41), await c.decr('s:n'), await c.incrByFloat('s:n', 0.5)]);
  await check('strings', 'expiry', async () => [await c.set('s:t', 'v', { EX: 1000 }), await c.ttl('s:t'), await c.persist('s:t'), await c.ttl('s:t'), await c.ttl('s:none')]);
  await check('strings', 'set nx get', async () => [await c.set('s:nx', '1', { NX: true }), await c.set('s:nx', '2', { NX: true }), await c.getDel('s:nx'), await c.get('s:nx')]);
  await check('strings', 'bytes', async () => [await c.set('s:bin', Buffer.from([0, 255, 13, 10, 36, 128])), await c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get('s:bin')]);
  await check('hashes', 'hset hgetall', async () => [await c.hSet('h', { a: '1', b: 'zwei' }), await c.hGetAll('h'), await c.hmGet('h', ['a', 'no']), await c.hGetAll('h:none')]);
  await check('hashes', 'more', async () => [await c.hIncrBy('h', 'a', 5), sorted(await c.hKeys('h')), await c.hExists('h', 'b'), await c.hDel('h', 'b'), await c.hLen('h')]);
  await check('hashes', 'hscan', async () => { const all = []; for await (const x of c.hScanIterator('h')) all.push(x); return all; });
  await check('lists', 'push range', async () => [await c.rPush('l', ['a', 'b', 'c']), await c.lPush('l', 'z'), await c.lRange('l', 0, -1), await c.lPop('l'), await c.rPopCount('l', 2), await c.lLen('l')]);
  await check('sets', 'members', async () => [await c.sAdd('t', ['x', 'y', 'z']), sorted(await c.sMembers('t')), await c.sIsMember('t', 'x'), await c.smIsMember('t', ['x', 'no']), await c.sRem('t', 'x'), await c.sCard('t')]);
  await check('sorted sets', 'range', async () => [await c.zAdd('z', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }]), await c.zRangeWithScores('z', 0, -1), await c.zScore('z', 'b'), await c.zIncrBy('z', 2, 'a'), await c.zRank('z', 'a'), await c.zPopMin('z')]);
  await check('streams', 'add range', async () => [await c.xAdd('x', '1-1', { f: 'v' }), await c.xAdd('x', '1-2', { g: 'w' }), await c.xRange('x', '-', '+'), await c.xLen('x'), await c.xRead({ key: 'x', id: '0' })]);
  await check('streams', 'groups', async () => [await c.xGroupCreate('x', 'grp', '0'), await c.xReadGroup('grp', 'me', { key: 'x', id: '>' }, { COUNT: 1 }), await c.xAck('x', 'grp', '1-1'), await c.xPending('x', 'grp')]);
}

async function manyKeys(c) {
  const keys = spread(60, 'm:');
  await check('multi-key', 'mset mget', async () => [await c.mSet(keys.map((k) => [k, 'v' + k])), await c.mGet([...keys, 'm:none'])]);
  await check('multi-key', 'exists touch', async () => [await c.exists([...keys, 'm:none']), await c.touch(keys)]);
  await check('multi-key', 'del unlink', async () => [await c.del(keys.slice(0, 20)), await c.unlink(keys), await c.dbSize() > 0]);
  await check('multi-key', 'set algebra', async () => {
    const sets = keys.slice(0, 6).map((k) => 'set' + k);
    for (const k of sets) await c.sAdd(k, ['all', k]);
    for (const k of sets) await c.zAdd('z' + k, [{ score: 1.5, value: 'all' }, { score: 2, value: k }]);
    return [sorted(await c.sUnion(sets)), await c.sInter(sets), await c.sDiff(sets), await c.zUnionWithScores(sets.map((k) => 'z' + k))];
  });
  await check('multi-key', 'tagged', async () => [await c.sAdd('{g}a', ['1', '2']), await c.sUnionStore('{g}c', ['{g}a', '{g}b']), await c.rename('{g}c', '{g}d'), sorted(await c.sMembers('{g}d'))]);
  await check('multi-key', 'msetnx of any keys', () => error(() => c.mSetNX(keys.slice(0, 8).map((k) => ['nx' + k, '1']))));
  // what is asked in one turn of the loop goes out as one pipeline
  await check('pipeline', '3000 at once', async () => {
    const all = await Promise.all(Array.from({ length: 3000 }, (_, i) => (i % 2 ? c.set(`c:${i % 300}`, `${i}`) : c.get('s:a'))));
    return all.every((v, i) => v === (i % 2 ? 'OK' : '1'));
  });
  await check('pipeline', 'results and errors', async () => (await Promise.allSettled([c.set('p', '1'), c.lPush('p', 'x'), c.get('p'), c.mGet(['p', 'p:none'])])).map((r) => r.value || r.reason));
  await check('pipeline', 'execAsPipeline', () => c.multi().set('p', '2').get('p').execAsPipeline());
}

async function transactions(c) {
  await check('transactions', 'multi exec', () => c.multi().set('{tx}a', '1').incr('{tx}a').mGet(['{tx}a', '{tx}b']).exec());
  await check('transactions', 'reply types', () => c.multi().hSet('{tx}h', { a: '1' }).hGetAll('{tx}h').zAdd('{tx}z', { score: 1.5, value: 'm' }).zScore('{tx}z', 'm').sAdd('{tx}s', 'm').sMembers('{tx}s').exec());
  await check('transactions', 'error in the middle', () => error(() => c.multi().set('{tx}a', 'x').lPush('{tx}a', 'y').get('{tx}a').exec()));
  await check('transactions', 'any keys', () => error(() => spread(8, 'tx:').reduce((m, k) => m.set(k, '1'), c.multi()).exec()));
  await check('WATCH', 'changed by another', async () => {
    const other = await open();
    await c.watch('{w}a');
    await other.set('{w}a', 'theirs');
    const lost = await c.multi().set('{w}a', 'mine').exec().then(() => false, (e) => e instanceof WatchError);
    return [lost, await c.get('{w}a'), await other.quit()];
  });
  await check('WATCH', 'counters of many clients', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => open()));
    await Promise.all(clients.map(async (w, i) => {
      for (let done = 0; done < 10;) {
        const key = `{w${(i + done) % 3}}n`;
        await w.watch(key);
        const n = Number(await w.get(key) || 0);
        try {
          await w.multi().set(key, String(n + 1)).exec();
          done++;
        } catch (e) { if (!(e instanceof WatchError)) throw e; }
      }
    }));
    const sums = await c.mGet(['{w0}n', '{w1}n', '{w2}n']);
    clients.forEach((w) => w.destroy());
    return sums.reduce((a, b) => a + Number(b), 0);
  });
}

async function scripts(c) {
  await check('scripts', 'eval', () => c.eval('return {KEYS[1], ARGV[1], redis.call("SET", KEYS[1], ARGV[1])}', { keys: ['e:k'], arguments: ['v'] }));
  await check('scripts', 'defined command', async () => [await c.addTo('{e}a', '{e}b', 5), await c.addTo('{e}a', '{e}b', 5), await c.addTo('{e2}a', '{e2}b', 1)]);
  await check('scripts', 'load and evalsha', async () => {
    const sha = await c.scriptLoad('return "loaded" .. KEYS[1]');
    return [sha, await c.evalSha(sha, { keys: ['e:1'] }), await c.evalSha(sha, { keys: ['e:2'] }), await c.scriptExists([sha, '0'.repeat(40)])];
  });
  await check('scripts', 'unknown script', () => error(() => c.evalSha('0'.repeat(40), { keys: ['k'] })));
  await check('scripts', 'functions', async () => {
    await c.functionLoad('#!lua name=mylib\nredis.register_function("double", function(keys, args) return redis.call("GET", keys[1]) * 2 end)', { REPLACE: true });
    await c.set('f:1', '21');
    await c.set('f:2', '4');
    return [await c.fCall('double', { keys: ['f:1'] }), await c.fCall('double', { keys: ['f:2'] })];
  });
  await check('scripts', 'any keys', () => error(() => c.eval('return #KEYS', { keys: spread(8, 'e:') })));
}

async function pubsub(c) {
  const sub = await open();
  const got = collector();
  const heard = (m, channel) => got.put(channel, m);
  await check('pub/sub', 'subscribe', async () => [await sub.subscribe('news', heard), await sub.subscribe(['sport', 'art'], heard)]);
  await check('pub/sub', 'messages in order', async () => {
    for (let i = 0; i < 5; i++) await c.publish('news', `m${i}`);
    const news = await got.take(5);
    await c.publish('sport', 'goal');
    return [news, await got.take(1)];
  });
  await check('pub/sub', 'receivers', () => c.publish('news', 'x'));
  await check('pub/sub', 'unsubscribe', async () => {
    await got.take(1);
    await sub.unsubscribe('news');
    await c.publish('news', 'unheard');
    return [await c.publish('sport', 'heard'), await got.take(1)];
  });
  await check('pub/sub', 'sharded', async () => {
    await sub.sSubscribe('orders', heard);
    return [await c.sPublish('orders', 'one'), await got.take(1), await sub.sUnsubscribe('orders')];
  });
  await check('patterns', 'messages', async () => {
    await sub.pSubscribe('user.*', heard);
    return [await c.publish('user.1', 'a'), await got.take(1), await c.publish('user.22', 'b'), await got.take(1)];
  });
  await check('patterns', 'punsubscribe', async () => {
    await sub.pUnsubscribe('user.*');
    await c.publish('user.1', 'unheard');
    return [await c.publish('sport', 'heard'), await got.take(1)];
  });
  await check('pub/sub', 'back to commands', async () => [await sub.unsubscribe(), await sub.set('ps:a', '1'), await sub.get('ps:a')]);
  sub.destroy();
}

async function blocking(c) {
  const b = await open();
  await check('blocking', 'pops', async () => {
    const waits = b.blPop(['{q}1', '{q}2'], 3);
    await c.rPush('{q}2', 'job');
    const first = await waits;
    const second = b.brPop('q:other', 0);
    await c.rPush('q:other', 'job2');
    return [first, await second];
  });
  await check('blocking', 'moves', async () => {
    const waits = b.blMove('{q}a', '{q}b', 'LEFT', 'RIGHT', 3);
    await c.rPush('{q}a', 'x');
    return [await waits, await c.lRange('{q}b', 0, -1)];
  });
  await check('blocking', 'sorted sets', async () => { await c.zAdd('{q}z', { score: 1, value: 'm' }); return b.bzPopMin('{q}z', 3); });
  await check('blocking', 'streams', async () => {
    const waits = b.xRead({ key: '{q}x', id: '$' }, { BLOCK: 3000 });
    // '$' means what comes after the read began: add until it is seen
    const more = setInterval(() => c.xAdd('{q}x', '*', { f: 'v' }).catch(() => {}), 20);
    try { return JSON.stringify(await waits).includes('"f":"v"'); } finally { clearInterval(more); }
  });
  await check('blocking', 'nothing comes', () => b.blPop('{q}none', 0.05));
  await check('blocking', 'any keys', () => error(() => b.blPop(spread(8, 'q:'), 0.05)));
  await check('blocking', 'still usable', async () => [await b.set('q:k', 'v'), await b.get('q:k')]);
  b.destroy();
}

async function server(c) {
  await check('SCAN', 'iterator', async () => {
    const keys = spread(200, 'scan:');
    await c.mSet(keys.flatMap((k) => [k, '1']));
    const found = new Set();
    for await (const page of c.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) for (const k of [].concat(page)) found.add(k);
    return [found.size, keys.every((k) => found.has(k)), (await c.keys('scan:*')).length];
  });
  await check('SELECT', 'own database', async () => {
    const other = await open({ database: 3 });
    const got = [await other.set('db:k', 'three'), await c.get('db:k'), await other.get('db:k'), await other.select(0), await other.get('db:k')];
    other.destroy();
    return got;
  });
  await check('SELECT', 'out of range', async () => {
    const other = await open();
    const got = await error(() => other.select(99));
    other.destroy();
    return got;
  });
  await check('INFO, CLIENT', 'what an application reads', async () => {
    const info = await c.info();
    return [/redis_version:\d+\.\d+\.\d+/.test(info), /\bloading:0/.test(info), /role:master/.test(info), await c.configGet('maxmemory-policy'), await c.clientId() > 0];
  });
  await check('INFO, CLIENT', 'names', async () => {
    const named = await open({ name: 'worker-1' });
    const got = [await named.clientGetName(), (await named.clientInfo()).name, (await named.clientList()).some((x) => x.name === 'worker-1')];
    named.destroy();
    return got;
  });
  await check('INFO, CLIENT', 'pool of connections', async () => {
    const { createClientPool } = require(moduleName || 'redis');
    const pool = createClientPool({ socket: { host, port } }, { minimum: 2, maximum: 4 });
    pool.on('error', () => {});
    await pool.connect();
    const got = await Promise.all(spread(40, 'pool:').map((k) => pool.set(k, '1')));
    pool.destroy();
    return got.every((v) => v === 'OK');
  });
}

async function rest(c) {
  const auth = async (more) => {
    const a = createClient({ socket: { host, port: authPort, reconnectStrategy: false }, ...more });
    a.on('error', () => {});
    try {
      await a.connect();
      return [await a.set('auth:k', 'v'), await a.get('auth:k'), await a.aclWhoAmI()];
    } catch (e) {
      return e.message;
    } finally {
      if (a.isOpen) a.destroy();
    }
  };
  // the words are those of nutcracker where Redis' differ
  await check('AUTH', 'password', () => auth({ password: 'pw' }));
  await check('AUTH', 'wrong password', async () => /WRONGPASS|invalid password/.test(await auth({ password: 'no' })));
  await check('AUTH', 'none', async () => /NOAUTH/.test(await auth({})));
  await check('AUTH', 'user', () => auth({ username: 'app', password: 'apw' }));
  await check('large values', '3 MB', async () => {
    const big = 'x'.repeat(3 << 20);
    return [await c.set('big', big), (await c.get('big')) === big, await c.append('big', 'y'), await c.del('big')];
  });
  await check('errors', 'of the server', async () => [await error(() => c.lPush('s:a', 'x')), await error(() => c.sendCommand(['NOSUCH', 'x'])), await error(() => c.sendCommand(['GET'])), await error(() => c.sendCommand(['HSET', 'h', 'x'])), await c.get('s:a')]);
  await check('reconnect', 'after the connections were lost', async () => {
    await c.set('re:k', 'v');
    await ask('kill');
    return [await retry(() => c.get('re:k')), await retry(() => c.mGet(['re:k', 're:none']))];
  });
  await check('reconnect', 'a subscriber', async () => {
    const sub = await open();
    const got = collector();
    await sub.subscribe('re:c', (m) => got.put(m));
    await ask('kill');
    const again = setInterval(() => c.publish('re:c', 'back').catch(() => {}), 20);
    try { return await got.take(1); } finally { clearInterval(again); sub.destroy(); }
  });
}

run(async () => {
  let c;
  await check('connect', 'ready', async () => { c = await open({ scripts: { addTo: defineScript(addTo) } }); return [c.isOpen, c.isReady]; });
  await check('connect', 'ping echo', async () => [await c.ping(), await c.ping('hello'), await c.echo('ключ')]);
  await data(c);
  await manyKeys(c);
  await transactions(c);
  await scripts(c);
  await pubsub(c);
  await blocking(c);
  await server(c);
  await rest(c);
  await check('connect', 'close', () => c.close());
});
