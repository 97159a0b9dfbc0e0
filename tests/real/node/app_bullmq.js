// BullMQ: queues whose scripts, streams and blocking pops need all keys of a queue on one server, so the prefix has a hash tag; or it is
// BullMQ's own (the fourth argument), where the pool's hash_tag finds the queue's name.
'use strict';
const { host, port, moduleName: prefix, ask, check, error, collector, retry, sorted, within, run } = require('./checks');
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');

const options = { connection: { host, port }, prefix: prefix || '{bull}' };

run(async () => {
  const queue = new Queue('mail', options);
  const events = new QueueEvents('mail', options);
  const done = collector();
  const failed = collector();
  let worker;
  for (const x of [queue, events]) x.on('error', () => {});
  await check('connect', 'ready', async () => { await queue.waitUntilReady(); await events.waitUntilReady(); return true; });
  await check('queue', 'jobs and results', async () => {
    worker = new Worker('mail', async (job) => {
      if (job.name === 'broken') throw new Error(`attempt ${job.attemptsMade + 1}`);
      if (job.data.n === 3) await job.updateProgress(50);
      return job.data.n * 2;
    }, { ...options, concurrency: 5 });
    worker.on('error', () => {});
    worker.on('completed', (job, value) => done.put(job.name, value));
    worker.on('failed', (job, e) => failed.put(job.name, e.message));
    await worker.waitUntilReady();
    const jobs = await queue.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: 'double', data: { n } })));
    const results = await Promise.all(jobs.map((j) => j.waitUntilFinished(events)));
    await done.take(20);
    return results;
  });
  await check('events', 'progress and completed', async () => {
    const seen = collector();
    events.on('progress', ({ data }) => seen.put('progress', data));
    events.on('completed', ({ returnvalue }) => seen.put('completed', returnvalue));
    await queue.add('double', { n: 3 });
    await done.take(1);
    return seen.take(2);
  });
  await check('queue', 'delayed', async () => { await queue.add('later', { n: 5 }, { delay: 100 }); return done.take(1); });
  await check('queue', 'priorities', async () => {
    await queue.pause();
    for (const priority of [3, 1, 2]) await queue.add('p' + priority, { n: priority }, { priority });
    const counts = await queue.getJobCounts('paused', 'prioritized', 'waiting');
    await queue.resume();
    return [counts, sorted((await done.take(3)).map(String))];
  });
  await check('queue', 'retries', async () => {
    await queue.add('broken', {}, { attempts: 2, backoff: { type: 'fixed', delay: 20 } });
    const got = await failed.take(2);
    return [got, (await queue.getFailed()).map((j) => j.failedReason)];
  });
  await check('queue', 'repeats', async () => {
    await queue.upsertJobScheduler('tick', { every: 100, limit: 5 }, { name: 'tick', data: { n: 1 } });
    const got = await done.take(2);
    return [got, await queue.removeJobScheduler('tick')];
  });
  await check('queue', 'flows', async () => {
    const flow = new FlowProducer(options);
    flow.on('error', () => {});
    const mine = collector(); // one more tick of the check before may come
    worker.on('completed', (job) => { if (job.name !== 'tick') mine.put(job.name); });
    const tree = await flow.add({ name: 'parent', queueName: 'mail', data: { n: 7 }, children: [{ name: 'child', queueName: 'mail', data: { n: 1 } }, { name: 'child', queueName: 'mail', data: { n: 2 } }] });
    const order = await mine.take(3);
    const values = sorted(Object.values(await tree.job.getChildrenValues()));
    await flow.close();
    return [order, values];
  });
  await check('queue', 'counts, rate limit, cleaning', async () => {
    const counts = await queue.getJobCounts('completed', 'failed', 'waiting', 'active');
    await queue.setGlobalConcurrency(2);
    return [counts.failed, counts.waiting, counts.active, await queue.getGlobalConcurrency(), (await queue.clean(0, 100, 'failed')).length];
  });
  await check('queue', 'without a hash tag', () => error(async () => {
    const plain = new Queue('untagged', { connection: { host, port } });
    plain.on('error', () => {});
    await plain.add('x', {});
    return plain.close();
  }));
  await check('reconnect', 'jobs after the connections were lost', async () => {
    await ask('kill');
    const mine = collector();
    worker.on('completed', (job, value) => { if (job.name === 'late') mine.put(value); });
    await retry(() => queue.add('late', { n: 21 }));
    return mine.take(1);
  });
  await check('queue', 'close', async () => { await within(3000, worker.close(), 'close of the worker'); await events.close(); await queue.obliterate({ force: true }); await queue.close(); return true; });
});
