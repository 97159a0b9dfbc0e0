// rate-limiter-flexible over ioredis and over node-redis: its counters are scripts.
'use strict';
const { host, port, check, error, run, spread } = require('./checks');
const { RateLimiterRedis, RateLimiterUnion, BurstyRateLimiter } = require('rate-limiter-flexible');
const Redis = require('ioredis');
const { createClient } = require('redis');

const left = (r) => [r.remainingPoints, r.consumedPoints, r.isFirstInDuration, r.msBeforeNext > 0];
const consume = (limiter, key, n) => limiter.consume(key, n).then(left, (r) => (r instanceof Error ? Promise.reject(r) : ['refused', ...left(r)]));

async function limits(name, storeClient, more) {
  const limiter = new RateLimiterRedis({ storeClient, keyPrefix: name, points: 3, duration: 1000, ...more });
  await check('limits', `${name}: up to the limit`, async () => { const got = []; for (let i = 0; i < 4; i++) got.push(await consume(limiter, 'ann')); return got; });
  await check('limits', `${name}: many users at once`, () => Promise.all(spread(40, 'user').flatMap((k) => [consume(limiter, k), consume(limiter, k, 2), consume(limiter, k)])));
  await check('limits', `${name}: get, penalty, reward, delete`, async () => [left(await limiter.penalty('bob', 2)), left(await limiter.reward('bob', 1)), left(await limiter.get('bob')), await limiter.delete('bob'), await limiter.get('bob')]);
  const blocks = new RateLimiterRedis({ storeClient, keyPrefix: name + 'b', points: 1, duration: 1, blockDuration: 600, ...more });
  await check('limits', `${name}: block`, async () => [await consume(blocks, 'eve'), await consume(blocks, 'eve'), left(await blocks.block('joe', 500)), await consume(blocks, 'joe')]);
  await check('limits', `${name}: union`, async () => {
    const union = new RateLimiterUnion(limiter, new RateLimiterRedis({ storeClient, keyPrefix: name + 'u', points: 1, duration: 1000, ...more }));
    const first = await union.consume('zoe');
    return [Object.keys(first).sort(), await error(() => union.consume('zoe').catch((r) => { throw new Error(Object.keys(r).join()); }))];
  });
}

run(async () => {
  const io = new Redis({ host, port }).on('error', () => {});
  await limits('ioredis', io, {});
  const c = createClient({ socket: { host, port } });
  c.on('error', () => {});
  await c.connect();
  await limits('noderedis', c, { useRedisPackage: true });
});
