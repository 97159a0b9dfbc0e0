// bee-queue, which uses node-redis 3: queue names in braces keep the keys of a queue together.
'use strict';
const { host, port, ask, check, collector, run, sorted } = require('./checks');
const Queue = require('bee-queue');

run(async () => {
  const options = { redis: { host, port }, activateDelayedJobs: true, removeOnSuccess: false };
  const queue = new Queue('{mail}', options);
  queue.on('error', () => {});
  await check('connect', 'ready', async () => { await queue.ready(); return queue.isRunning(); });
  await check('queue', 'jobs and results', async () => {
    const done = collector();
    queue.process(4, async (job) => { if (job.data.n === 13) throw new Error('unlucky'); return job.data.n * 2; });
    for (let n = 0; n < 15; n++) {
      const job = queue.createJob({ n });
      job.on('succeeded', (v) => done.put(v));
      job.on('failed', (e) => done.put(e.message));
      await job.save();
    }
    return sorted((await done.take(15)).map(String));
  });
  await check('queue', 'delayed', async () => {
    const done = collector();
    const job = queue.createJob({ n: 50 }).delayUntil(Date.now() + 100);
    job.on('succeeded', (v) => done.put(v));
    await job.save();
    return done.take(1);
  });
  await check('queue', 'retries and health', async () => {
    const done = collector();
    const job = queue.createJob({ n: 13 }).retries(1);
    job.on('retrying', () => done.put('retrying'));
    job.on('failed', () => done.put('failed'));
    await job.save();
    const seen = await done.take(2);
    const health = await queue.checkHealth();
    return [seen, health.waiting, health.active, health.failed];
  });
  await check('reconnect', 'jobs after the connections were lost', async () => {
    await ask('kill');
    const done = collector();
    // what is published while nobody listens again is lost, as ever: one job after the other until one is heard of
    const save = () => { const job = queue.createJob({ n: 21 }); job.on('succeeded', (v) => done.put(v)); return job.save().catch(() => {}); };
    const more = setInterval(save, 50);
    try { return await done.take(1); } finally { clearInterval(more); }
  });
  await check('queue', 'close', async () => { await queue.close(1000); return queue.isRunning(); });
});
