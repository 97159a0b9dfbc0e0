// ioredis as an application uses it; the fourth argument says which version. See checks.js.
'use strict';
const { host, port, authPort, moduleName, check, error, retry, collector, ask, spread, sorted, run } = require('./checks');
const Redis = require(moduleName || 'ioredis');

const open = (more) => new Redis({ host, port, ...more }).on('error', () => {});
const ready = (r) => new Promise((go) => { if (r.status === 'ready') go('ready'); else r.once('ready', () => go('ready')); });

async function data(r) {
  await check('strings', 'set get', async () => [await r.set('s:a', '1'), await r.get('s:a'), await r.get('s:none')]);
  await check('strings', 'counters', async () => [await r.incr('s:n'), await r.incrby('s:n', 41), await r.decr('s:n'), await r.incrbyfloat('s:n', 0.5)]);
  await check('strings', 'expiry', async () => [await r.set('s:t', 'v', 'EX', 1000), await r.ttl('s:t'), await r.persist('s:t'), await r.ttl('s:t'), await r.ttl('s:none')]);
  await check('strings', 'set nx get', async () => [await r.set('s:nx', '1', 'NX'), await r.set('s:nx', '2', 'NX'), await r.getdel('s:nx'), await r.get('s:nx')]);
  await check('strings', 'bytes', async () => [await r.set(Buffer.from([1, 0, 255]), Buffer.from([0, 255, 13, 10, 36, 128])), await r.getBuffer(Buffer.from([1, 0, 255]))]);
  await check('strings', 'bits', async () => [await r.setbit('s:b', 7, 1), await r.getbit('s:b', 7), await r.bitcount('s:b')]);
  await check('hashes', 'hset hgetall', async () => [await r.hset('h', { a: 1, b: 'zwei' }), await r.hgetall('h'), await r.hmget('h', 'a', 'no'), await r.hgetall('h:none')]);
  await check('hashes', 'more', async () => [await r.hincrby('h', 'a', 5), sorted(await r.hkeys('h')), await r.hexists('h', 'b'), await r.hdel('h', 'b'), await r.hlen('h')]);
  await check('hashes', 'hscan', async () => r.hscan('h', 0));
  await check('lists', 'push range', async () => [await r.rpush('l', 'a', 'b', 'c'), await r.lpush('l', 'z'), await r.lrange('l', 0, -1), await r.lpop('l'), await r.rpop('l', 2), await r.llen('l')]);
  await check('sets', 'members', async () => [await r.sadd('t', 'x', 'y', 'z'), sorted(await r.smembers('t')), await r.sismember('t', 'x'), await r.smismember('t', 'x', 'no'), await r.srem('t', 'x'), await r.scard('t')]);
  await check('sorted sets', 'range', async () => [await r.zadd('z', 1, 'a', 2.5, 'b'), await r.zrange('z', 0, -1, 'WITHSCORES'), await r.zscore('z', 'b'), await r.zincrby('z', 2, 'a'), await r.zrangebyscore('z', 2, '+inf'), await r.zrank('z', 'a'), await r.zpopmin('z')]);
  await check('streams', 'add range', async () => [await r.xadd('x', '1-1', 'f', 'v'), await r.xadd('x', '1-2', 'g', 'w'), await r.xrange('x', '-', '+'), await r.xlen('x'), await r.xread('STREAMS', 'x', '0')]);
  await check('streams', 'groups', async () => [await r.xgroup('CREATE', 'x', 'grp', '0'), await r.xreadgroup('GROUP', 'grp', 'me', 'COUNT', 1, 'STREAMS', 'x', '>'), await r.xack('x', 'grp', '1-1'), await r.xpending('x', 'grp')]);
}

async function manyKeys(r) {
  const keys = spread(60, 'm:');
  await check('multi-key', 'mset mget', async () => [await r.mset(new Map(keys.map((k) => [k, 'v' + k]))), await r.mget(...keys, 'm:none')]);
  await check('multi-key', 'exists touch', async () => [await r.exists(...keys, 'm:none'), await r.touch(...keys)]);
  await check('multi-key', 'del unlink', async () => [await r.del(...keys.slice(0, 20)), await r.unlink(...keys), await r.dbsize() > 0]);
  await check('multi-key', 'set algebra', async () => {
    for (const k of keys.slice(0, 6)) await r.sadd('set' + k, 'all', k);
    const sets = keys.slice(0, 6).map((k) => 'set' + k);
    return [sorted(await r.sunion(...sets)), await r.sinter(...sets), await r.sdiff(...sets)];
  });
  await check('multi-key', 'tagged', async () => [await r.sadd('{g}a', 1, 2), await r.sadd('{g}b', 2, 3), await r.sunionstore('{g}c', '{g}a', '{g}b'), await r.smove('{g}a', '{g}b', 1), await r.rename('{g}c', '{g}d'), sorted(await r.smembers('{g}d'))]);
  await check('multi-key', 'msetnx of any keys', () => error(() => r.msetnx(...keys.slice(0, 8).flatMap((k) => ['nx' + k, '1']))));
  await check('pipeline', 'results and errors', async () => r.pipeline().set('p', '1').lpush('p', 'x').get('p').mget('p', 'p:none').incr('p').exec());
  await check('pipeline', '3000 at once', async () => {
    const all = await Promise.all(Array.from({ length: 3000 }, (_, i) => (i % 2 ? r.set(`c:${i % 300}`, `${i}`) : r.get('p'))));
    return all.every((v, i) => v === (i % 2 ? 'OK' : '2'));
  });
  await check('pipeline', 'automatic', async () => {
    const auto = open({ enableAutoPipelining: true });
    const got = await Promise.all(keys.map((k) => auto.set(k, k)).concat(keys.map((k) => auto.get(k))));
    return [got, await auto.quit()];
  });
}

async function transactions(r) {
  await check('transactions', 'multi exec', () => r.multi().set('{tx}a', 1).incr('{tx}a').mget('{tx}a', '{tx}b').exec());
  await check('transactions', 'without pipeline', async () => [await r.multi({ pipeline: false }), await r.set('{tx}c', 1), await r.get('{tx}c'), await r.exec()]);
  await check('transactions', 'error in the middle', () => r.multi().set('{tx}a', 'x').lpush('{tx}a', 'y').get('{tx}a').exec());
  await check('transactions', 'discard', async () => [await r.multi({ pipeline: false }), await r.set('{tx}a', 'no'), await r.discard(), await r.get('{tx}a')]);
  await check('transactions', 'any keys', () => error(() => spread(8, 'tx:').reduce((m, k) => m.set(k, 1), r.multi()).exec()));
  await check('WATCH', 'changed by another', async () => {
    const other = open();
    await r.watch('{w}a');
    await other.set('{w}a', 'theirs');
    const got = await r.multi().set('{w}a', 'mine').exec();
    return [got, await r.get('{w}a'), await other.quit()];
  });
  await check('WATCH', 'counters of many clients', async () => {
    const clients = Array.from({ length: 8 }, () => open());
    await Promise.all(clients.map(async (c, i) => {
      for (let done = 0; done < 10;) {
        const key = `{w${(i + done) % 3}}n`;
        await c.watch(key);
        const n = Number(await c.get(key) || 0);
        if (await c.multi().set(key, n + 1).exec()) done++;
      }
    }));
    const sums = await r.mget('{w0}n', '{w1}n', '{w2}n');
    return [sums.reduce((a, b) => a + Number(b), 0), await Promise.all(clients.map((c) => c.quit()))];
  });
}

async function scripts(r) {
  await check('scripts', 'eval', () => r.eval('return {KEYS[1], ARGV[1], redis.call("SET", KEYS[1], ARGV[1])}', 1, 'e:k', 'v'));
  await check('scripts', 'defined command', async () => {
    r.defineCommand('addTo', { numberOfKeys: 2, lua: 'return redis.call("INCRBY", KEYS[1], ARGV[1]) + redis.call("INCRBY", KEYS[2], ARGV[1])' });
    return [await r.addTo('{e}a', '{e}b', 5), await r.addTo('{e}a', '{e}b', 5), await r.addTo('{e2}a', '{e2}b', 1)];
  });
  await check('scripts', 'load and evalsha', async () => {
    const sha = await r.script('LOAD', 'return "loaded" .. KEYS[1]');
    return [sha, await r.evalsha(sha, 1, 'e:1'), await r.evalsha(sha, 1, 'e:2'), await r.script('EXISTS', sha, '0'.repeat(40))];
  });
  await check('scripts', 'unknown script', () => error(() => r.evalsha('0'.repeat(40), 1, 'k')));
  await check('scripts', 'error in the script', () => error(() => r.eval('return redis.call("LPUSH", KEYS[1], 1)', 1, 'e:k')));
  await check('scripts', 'any keys', () => error(() => r.eval('return #KEYS', 8, ...spread(8, 'e:'))));
}

async function pubsub(r) {
  const sub = open();
  const got = collector();
  sub.on('message', (channel, m) => got.put(channel, m));
  sub.on('pmessage', (pattern, channel, m) => got.put(pattern, channel, m));
  await check('pub/sub', 'subscribe', () => sub.subscribe('news', 'sport'));
  await check('pub/sub', 'messages in order', async () => {
    for (let i = 0; i < 5; i++) await r.publish('news', `m${i}`);
    const news = await got.take(5);
    await r.publish('sport', 'goal');
    return [news, await got.take(1)];
  });
  await check('pub/sub', 'receivers', () => r.publish('news', 'x'));
  await check('pub/sub', 'unsubscribe', async () => {
    await got.take(1);
    const left = await sub.unsubscribe('news');
    await r.publish('news', 'unheard');
    return [left, await r.publish('sport', 'heard'), await got.take(1)];
  });
  await check('patterns', 'psubscribe', () => sub.psubscribe('user.*'));
  await check('patterns', 'messages', async () => [await r.publish('user.1', 'a'), await got.take(1), await r.publish('user.22', 'b'), await got.take(1)]);
  await check('patterns', 'punsubscribe', () => sub.punsubscribe('user.*'));
  await check('pub/sub', 'back to commands', async () => [await sub.unsubscribe(), await sub.set('ps:a', 1), await sub.get('ps:a'), await sub.quit()]);
}

async function blocking(r) {
  const b = open();
  await check('blocking', 'pops', async () => {
    const waits = b.blpop('{q}1', '{q}2', 3);
    await r.rpush('{q}2', 'job');
    const first = await waits;
    const second = b.brpop('q:other', 0);
    await r.rpush('q:other', 'job2');
    return [first, await second];
  });
  await check('blocking', 'moves', async () => {
    const waits = b.blmove('{q}a', '{q}b', 'LEFT', 'RIGHT', 3);
    await r.rpush('{q}a', 'x');
    return [await waits, await r.lrange('{q}b', 0, -1)];
  });
  await check('blocking', 'sorted sets', async () => { await r.zadd('{q}z', 1, 'm'); return b.bzpopmin('{q}z', 3); });
  await check('blocking', 'streams', async () => {
    const waits = b.xread('BLOCK', 3000, 'STREAMS', '{q}x', '$');
    await retry(async () => { await r.xadd('{q}x', '*', 'f', 'v'); });
    // '$' means what comes after the read began: add until it is seen
    const more = setInterval(() => r.xadd('{q}x', '*', 'f', 'v').catch(() => {}), 20);
    try { return (await waits)[0][1][0][1]; } finally { clearInterval(more); }
  });
  await check('blocking', 'nothing comes', () => b.blpop('{q}none', 0.05));
  await check('blocking', 'any keys', () => error(() => b.blpop(...spread(8, 'q:'), 0.05)));
  await check('blocking', 'any of many queues', async () => {
    const got = [];
    for (const k of spread(8, 'q:')) {
      const waits = b.brpop(...spread(8, 'q:'), 3);
      await r.lpush(k, 'job');
      got.push(await waits);
    }
    return got;
  });
  await check('blocking', 'still usable', async () => [await b.set('q:k', 'v'), await b.get('q:k'), await b.quit()]);
}

async function server(r) {
  await check('SCAN', 'stream', async () => {
    const keys = spread(200, 'scan:');
    await r.mset(...keys.flatMap((k) => [k, '1']));
    const found = new Set();
    for await (const page of r.scanStream({ match: 'scan:*', count: 50 })) page.forEach((k) => found.add(k));
    return [found.size, keys.every((k) => found.has(k)), sorted(await r.keys('scan:*')).length];
  });
  await check('SELECT', 'own database', async () => {
    const other = open({ db: 3 });
    const got = [await other.set('db:k', 'three'), await r.get('db:k'), await other.get('db:k'), await other.select(0), await other.get('db:k')];
    return [...got, await other.quit()];
  });
  await check('SELECT', 'out of range', async () => {
    const other = open();
    const got = await error(() => other.select(99));
    other.disconnect();
    return got;
  });
  await check('INFO, CLIENT', 'what an application reads', async () => {
    const info = await r.info();
    return [/redis_version:\d+\.\d+\.\d+/.test(info), /\bloading:0/.test(info), /role:master/.test(info), (await r.config('GET', 'maxmemory-policy')).toString(), Number(await r.client('ID')) > 0];
  });
  await check('INFO, CLIENT', 'names', async () => {
    const named = open({ connectionName: 'worker-1' });
    return [await named.client('GETNAME'), /name=worker-1/.test(await named.client('LIST')), /name=worker-1/.test(await named.client('INFO')), await named.quit()];
  });
}

async function rest(r) {
  const auth = async (more) => {
    const c = new Redis({ host, port: authPort, retryStrategy: null, maxRetriesPerRequest: 0, ...more });
    const trouble = new Promise((go) => c.on('error', (e) => go(e.message)));
    const got = await Promise.race([c.set('auth:k', 'v').then(async (v) => [v, await c.get('auth:k'), await c.call('ACL', 'WHOAMI')], (e) => ({ error: e.message })), trouble]);
    c.disconnect();
    return got;
  };
  await check('AUTH', 'password', () => auth({ password: 'pw' }));
  // the words are those of nutcracker where Redis' differ
  await check('AUTH', 'wrong password', async () => /WRONGPASS|invalid password/.test(await auth({ password: 'no', enableReadyCheck: false })));
  await check('AUTH', 'none', async () => /NOAUTH/.test((await auth({ enableReadyCheck: false })).error));
  await check('AUTH', 'user', () => auth({ username: 'app', password: 'apw' }));
  await check('large values', '3 MB', async () => {
    const big = 'x'.repeat(3 << 20);
    return [await r.set('big', big), (await r.get('big')) === big, await r.append('big', 'y'), await r.del('big')];
  });
  await check('errors', 'of the server', async () => [await error(() => r.lpush('s:a', 'x')), await error(() => r.call('NOSUCH', 'x')), await error(() => r.call('GET')), await error(() => r.hset('h', 'x')), await r.get('s:a')]);
  await check('reconnect', 'after the connections were lost', async () => {
    await r.set('re:k', 'v');
    await ask('kill');
    return [await retry(() => r.get('re:k')), await retry(() => r.mget('re:k', 're:none'))];
  });
  await check('reconnect', 'a subscriber', async () => {
    const sub = open();
    const got = collector();
    sub.on('message', (c, m) => got.put(c, m));
    await sub.subscribe('re:c');
    await ask('kill');
    const again = setInterval(() => r.publish('re:c', 'back').catch(() => {}), 20);
    try { return await got.take(1); } finally { clearInterval(again); sub.disconnect(); }
  });
}

run(async () => {
  const r = open();
  await check('connect', 'ready', () => ready(r));
  await check('connect', 'ping echo', async () => [await r.ping(), await r.ping('hello'), await r.echo('ключ')]);
  await data(r);
  await manyKeys(r);
  await transactions(r);
  await scripts(r);
  await pubsub(r);
  await blocking(r);
  await server(r);
  await rest(r);
  await check('connect', 'quit', () => r.quit());
});
